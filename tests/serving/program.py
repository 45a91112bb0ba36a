"""`manage.py serve` with the stand-in worker: `python -m tests.serving.program [--hasty] [--worker=FLAG] ARGUMENTS`.

`--hasty` waits for nothing longer than a second.
"""

import sys

import django


def main() -> None:
    django.setup()
    from tuning.management.commands.serve import Command  # noqa: PLC0415 - needs the settings

    flags = [argument.removeprefix("--worker=") for argument in sys.argv if argument.startswith("--worker=")]
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith(("--worker=", "--hasty"))]

    class WithStandIn(Command):
        worker = (sys.executable, "-m", "tests.serving.stand_in_worker", *flags)
        worker_grace_s = wait_s = 1.0 if "--hasty" in sys.argv else 30.0

    WithStandIn().run_from_argv(["manage.py", "serve", *arguments])


if __name__ == "__main__":
    main()
