// What was typed in a form and not sent yet, kept in this browser by the name of the form.
(function () {
  "use strict";

  const PREFIX = "draft-";
  const SAVED = "saved-drafts";

  function keep(name, entries) {
    try {
      localStorage.setItem(PREFIX + name, JSON.stringify(entries));
    } catch (error) {
      // Storage is full or switched off: the form works without a draft.
    }
  }

  function forget(name) {
    try {
      localStorage.removeItem(PREFIX + name);
    } catch (error) {
      // See above.
    }
  }

  function kept(name) {
    try {
      return JSON.parse(localStorage.getItem(PREFIX + name) || "null");
    } catch (error) {
      return null;
    }
  }

  // The server names by a cookie the drafts of which it has made something.
  function forgetSaved() {
    const cookie = document.cookie.split("; ").find((each) => each.startsWith(SAVED + "="));
    if (!cookie) return;
    for (const name of cookie.slice(SAVED.length + 1).split(".")) forget(name);
    document.cookie = SAVED + "=; path=/; max-age=0; samesite=Lax";
  }

  forgetSaved();
  window.autotuner.drafts = { keep, kept, forget };
})();
