// Beside the editor: it keeps one account's work apart from another's in the same browser, says so when the session has
// ended and offers to log in again while the work stays in the tab, and puts "Log out" into the menu.
(() => {
  "use strict";
  const me = document.currentScript.dataset;
  const MARK = "comfyplus.account";
  const LOOK_MS = 30_000;
  const LOOK_SOON_MS = 2_000;

  // What the editor keeps here of somebody else, unsaved work among it, is nobody's business.
  const forget = () => {
    for (const storage of [localStorage, sessionStorage]) {
      if (storage.getItem(MARK) === me.account) continue;
      storage.clear();
      if (storage === sessionStorage) window.name = "";
      storage.setItem(MARK, me.account);
    }
  };

  const plain = window.fetch.bind(window);
  const home = new URL(".", document.baseURI).href;

  const watch = () => {
    let bar = null;
    let timer = 0;

    const show = (text, link, act) => {
      if (bar?.text === text) return;
      bar?.host.remove();
      const host = document.createElement("div");
      const root = host.attachShadow({ mode: "open" });
      const style = document.createElement("style");
      style.textContent = `
        div { position: fixed; z-index: 2147483647; top: 12px; left: 50%; transform: translateX(-50%);
          display: flex; align-items: center; gap: 16px; max-width: calc(100vw - 32px); box-sizing: border-box;
          padding: 12px 14px 12px 18px; border-radius: 12px; border: 1px solid #6d5fe8; background: #1d1f27;
          color: #eceef4; font: 15px/1.4 system-ui, "DejaVu Sans", sans-serif;
          box-shadow: 0 12px 40px rgb(0 0 0 / 50%); }
        button { flex: none; padding: 8px 14px; border: 0; border-radius: 8px; background: #7c6cf6; color: #fff;
          font: inherit; font-weight: 600; cursor: pointer; }
        button:hover { filter: brightness(1.1); }
        button:focus-visible { outline: 3px solid #b9b0ff; }`;
      const box = document.createElement("div");
      box.setAttribute("role", "alert");
      const said = document.createElement("span");
      said.textContent = text;
      const button = document.createElement("button");
      button.textContent = link;
      button.addEventListener("click", act);
      box.append(said, button);
      root.append(style, box);
      host.id = "comfyplus-session";
      document.body.append(host);
      bar = { host, text };
    };

    const hide = () => {
      bar?.host.remove();
      bar = null;
    };

    const again = () => window.open("login?again", "_blank", "noopener");

    const look = async () => {
      clearTimeout(timer);
      try {
        const answer = await plain("session", { cache: "no-store" });
        if (answer.status === 401) {
          show("You are logged out. Your work is still here, in this tab.", "Log in again", again);
        } else if (answer.ok) {
          const now = await answer.json();
          if (now.account === me.account) hide();
          else {
            show(
              `Somebody else (${now.name}) is logged in in this browser now. What is open here is yours, and ` +
                "cannot be saved as theirs.",
              "Log in again",
              again,
            );
          }
        }
      } catch {
        // The server is away: the editor itself says so.
      }
      timer = setTimeout(look, bar ? LOOK_SOON_MS : LOOK_MS);
    };

    window.fetch = async (...request) => {
      const answer = await plain(...request);
      if (answer.status === 401 && answer.url.startsWith(home)) void look();
      return answer;
    };
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && void look());
    window.addEventListener("focus", () => void look());
    void look();
  };

  const logOut = () => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = "logout";
    document.body.append(form);
    form.submit();
  };

  // The editor takes extensions once it stands; until then it is asked again.
  const enroll = () => {
    const app = window.app ?? window.comfyAPI?.app?.app;
    if (!app?.extensionManager || !app.graph) return void setTimeout(enroll, 250);
    const id = "ComfyUIPlus.LogOut";
    app.registerExtension({
      name: "ComfyUIPlus.Session",
      commands: [{ id, label: `Log out (${me.name})`, icon: "pi pi-sign-out", function: logOut }],
      menuCommands: [{ path: ["ComfyUI Plus"], commands: [id] }],
    });
  };

  forget();
  if ("byCookie" in me) {
    watch();
    enroll();
  }
})();
