// Starts Swagger UI; in a file of its own, because the security policy allows no inline script.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("swagger-ui");
  SwaggerUIBundle({
    url: place.dataset.openapi,
    domNode: place,
    deepLinking: true,
    validatorUrl: null, // else it asks a validator on the internet
  });
});
