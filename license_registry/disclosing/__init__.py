"""Licences shown without a code: by number and name, by file, by a department's grant (依职权), as a dossier."""
