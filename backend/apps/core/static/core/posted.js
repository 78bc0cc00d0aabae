"use strict";
// What somebody types to find a row or a table is posted: in an address it would stand in logs.
{
  const FORM = "application/x-www-form-urlencoded; charset=UTF-8";
  const token = () => document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";

  document.addEventListener("htmx:configRequest", (event) => {  // the search for tables
    const asked = event.detail;
    if (asked.verb === "get" && asked.parameters.s !== undefined) {
      asked.verb = "post";
      asked.useUrlParams = false;
      Object.assign(asked.headers, { "Content-Type": FORM, "X-CSRFToken": token() });
    }
  });

  document.addEventListener("DOMContentLoaded", () => {  // the choices of a form
    window.django?.jQuery?.ajaxPrefilter((asked, _, request) => {
      if (asked.url.endsWith("/autocomplete/")) {
        asked.type = "POST";
        request.setRequestHeader("X-CSRFToken", token());
      }
    });
  });
}
