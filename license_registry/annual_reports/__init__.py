"""Annual reports (年度报告) of licences whose type asks for them: due, filed, overdue."""
