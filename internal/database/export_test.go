package database

import "database/sql"

// MaxStatements is how many statements a connection keeps.
const MaxStatements = maxStatements

// KeptStatements returns how many statements a connection keeps.
func KeptStatements(c *sql.Conn) (kept int) {
	_ = c.Raw(func(raw any) error {
		if opened, ok := raw.(*connection); ok {
			kept = opened.statements.Len()
		}
		return nil
	})
	return kept
}
