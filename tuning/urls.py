"""The addresses of the pages."""

from django.contrib.auth.views import LogoutView
from django.urls import path, register_converter
from django.urls.converters import IntConverter, StringConverter

from tuning.views import (
    access,
    dashboard,
    deployments,
    downloads,
    experiment,
    experiments,
    health,
    log,
    machines,
    results,
    search,
    task,
    task_actions,
    task_form,
    tasks,
)


class NumberConverter(IntConverter):
    """The id of a row or the number of an experiment: no larger than a database can keep."""

    regex = "[1-9][0-9]{0,8}"


class ActionConverter(StringConverter):
    """What can be done with a task."""

    regex = "start|pause|resume|cancel|retry|restart|delete"


register_converter(NumberConverter, "pk")
register_converter(ActionConverter, "action")

urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
    path("now", dashboard.dashboard_now, name="dashboard-now"),
    path("search", search.search, name="search"),
    path("tasks", tasks.tasks, name="tasks"),
    path("tasks/now", tasks.tasks_now, name="tasks-now"),
    path("tasks/act", task_actions.act_on_several, name="tasks-act"),
    path("tasks/new", task_form.task_new, name="task-new"),
    path("tasks/check", task_form.task_check, name="task-check"),
    path("tasks/<pk:pk>/edit", task_form.task_edit, name="task-edit"),
    path("tasks/<pk:pk>/duplicate", task_form.task_duplicate, name="task-duplicate"),
    path("tasks/<pk:pk>/<action:action>", task_actions.act, name="task-act"),
    path("tasks/<pk:pk>", task.task, name="task"),
    path("tasks/<pk:pk>/now", task.task_part, name="task-now"),
    path("tasks/<pk:pk>/experiments", task.task_experiments, name="task-experiments"),
    path("tasks/<pk:pk>/document.yaml", task.task_document, name="task-document"),
    path("sign-in", access.sign_in, name="sign-in"),
    path("sign-in/<uidb64>/<token>", access.sign_in_link, name="sign-in-link"),
    path("password", access.password, name="password"),
    path("healthz", health.healthz, name="healthz"),
    path("sign-out", LogoutView.as_view(), name="sign-out"),
    path("tasks/<pk:pk>/results", results.task_results, name="task-results"),
    path("tasks/<pk:pk>/results/now", results.task_results_part, name="task-results-part"),
    path("tasks/<pk:pk>/charts.json", results.task_charts, name="task-charts"),
    path("tasks/<pk:pk>/compare", results.task_compare, name="task-compare"),
    path("tasks/<pk:pk>/results.csv", downloads.task_csv, name="task-csv"),
    path("tasks/<pk:pk>/results.json", downloads.task_json, name="task-json"),
    path("experiments", experiments.experiments, name="experiments"),
    path("experiments/now", experiments.experiments_now, name="experiments-now"),
    path("tasks/<pk:pk>/experiments/<pk:number>", experiment.experiment, name="experiment"),
    path("tasks/<pk:pk>/experiments/<pk:number>/now", experiment.experiment_now, name="experiment-now"),
    path("machines", machines.machines, name="machines"),
    path("machines/now", machines.machines_now, name="machines-now"),
    path("deployments", deployments.deployments, name="deployments"),
    path("deployments/now", deployments.deployments_now, name="deployments-now"),
    path("deployments/<pk:pk>/stop", deployments.deployment_stop, name="deployment-stop"),
    path("tasks/<pk:pk>/log", log.task_log, name="task-log"),
    path("tasks/<pk:pk>/log/lines", log.task_log_lines, name="task-log-lines"),
    path("tasks/<pk:pk>/log.txt", log.task_log_text, name="task-log-text"),
    path("tasks/<pk:pk>/experiments/<pk:number>/log", log.experiment_log, name="experiment-log"),
    path("tasks/<pk:pk>/experiments/<pk:number>/log/lines", log.experiment_log_lines, name="experiment-log-lines"),
    path("tasks/<pk:pk>/experiments/<pk:number>/log.txt", log.experiment_log_text, name="experiment-log-text"),
]
