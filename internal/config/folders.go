package config

import (
	"net/url"
	"path/filepath"
	"strings"
)

// DatabaseFolder is the folder of the SQLite files, absolute. It means nothing when the events are in Postgres.
func (c Config) DatabaseFolder() string {
	if folder := strings.TrimPrefix(c.Database.URL.Reveal(), sqliteScheme); folder != "" {
		return absolute(folder)
	}
	return c.DataDir
}

// InboxFile is the SQLite file of the inbox, absolute.
func (c Config) InboxFile() string { return filepath.Join(c.DatabaseFolder(), "inbox.db") }

// WorkFile is the SQLite file of the work store, absolute.
func (c Config) WorkFile() string { return filepath.Join(c.DatabaseFolder(), "work.db") }

// ImagesURL is where images go unless a handler is told otherwise: a file:// URL in the data folder.
func (c Config) ImagesURL() string {
	folder := filepath.ToSlash(filepath.Join(c.DataDir, "images"))
	return (&url.URL{Scheme: "file", Path: folder}).String()
}

// SpoolFolder is where content waits that goes to an object store.
func (c Config) SpoolFolder() string { return filepath.Join(c.DataDir, "spool") }

// TokenFile is where the token of the first start is kept.
func (c Config) TokenFile() string { return filepath.Join(c.DataDir, tokenFileName) }

func absolute(folder string) string {
	if full, err := filepath.Abs(folder); err == nil {
		return full
	}
	return folder // the working folder is gone; every use of the path will say so
}
