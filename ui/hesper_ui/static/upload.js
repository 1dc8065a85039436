// Brings a chosen file to the server and goes to the page that shows what was found in it.
// The form is drawn by the server: data-upload holds the address without the kind.
"use strict";
(() => {
  const tell = (form, text, busy) => {
    form.querySelector("[data-upload-said]").textContent = text;
    form.setAttribute("aria-busy", String(busy));
    form.querySelector("[type=submit]").disabled = busy;
  };

  const send = (form, file) => {
    const told = new URLSearchParams({ name: file.name });
    for (const field of form.querySelectorAll("select[name]")) {
      if (field.value && field.name !== "kind") told.set(field.name, field.value);
    }
    const request = new XMLHttpRequest();
    request.open("POST", `${form.dataset.upload}/${form.elements.kind.value}?${told}`);
    request.responseType = "json";
    request.upload.onprogress = (event) => {
      if (event.lengthComputable && event.loaded < event.total) {
        const share = Math.floor((100 * event.loaded) / event.total);
        tell(form, hesperSay("Sending {share} %").replace("{share}", share), true);
      } else {
        tell(form, hesperSay("Reading every row…"), true);
      }
    };
    request.onload = () => {
      const answer = request.response || {};
      if (request.status === 201) {
        location.assign(answer.page);
      } else {
        const said = answer.error || answer.detail;
        tell(form, said || hesperSay("The server did not take the file."), false);
      }
    };
    request.onerror = () => {
      tell(form, hesperSay("The server cannot be reached; nothing was changed."), false);
    };
    request.send(file);
  };

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-upload]");
    if (!form) return;
    event.preventDefault();
    const file = form.querySelector("input[type=file]").files[0];
    if (file) send(form, file);
    else tell(form, hesperSay("Choose a file first."), false);
  });
})();
