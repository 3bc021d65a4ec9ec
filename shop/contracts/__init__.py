"""What others may rely on: the events as AsyncAPI, the JSON interface as OpenAPI, and a page that shows both."""
