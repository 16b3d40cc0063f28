"""The OpenAPI document: what each operation says of itself, examples, the page that shows it."""
