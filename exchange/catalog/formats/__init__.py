"""The catalogue as others keep it: DCAT as JSON-LD, and a workbook."""
