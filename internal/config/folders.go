package config

import (
	"net/url"
	"path/filepath"
	"strings"
)

// DatabaseFolder returns the absolute path of the folder of the SQLite files. It is not used with Postgres.
func (c Config) DatabaseFolder() string {
	if folder := strings.TrimPrefix(c.Database.URL.Reveal(), sqliteScheme); folder != "" {
		return absolute(folder)
	}
	return c.DataDir
}

// InboxFile returns the absolute path of the SQLite file of the inbox.
func (c Config) InboxFile() string { return filepath.Join(c.DatabaseFolder(), "inbox.db") }

// WorkFile returns the absolute path of the SQLite file of the work store.
func (c Config) WorkFile() string { return filepath.Join(c.DatabaseFolder(), "work.db") }

// ImagesURL returns the default bucket of images: a file:// URL in the data folder.
func (c Config) ImagesURL() string {
	folder := filepath.ToSlash(filepath.Join(c.DataDir, "images"))
	return (&url.URL{Scheme: "file", Path: folder}).String()
}

// SpoolFolder returns the folder for content on its way to an object store.
func (c Config) SpoolFolder() string { return filepath.Join(c.DataDir, "spool") }

// TokenFile returns the path of the generated webhook token.
func (c Config) TokenFile() string { return filepath.Join(c.DataDir, tokenFileName) }

func absolute(folder string) string {
	if full, err := filepath.Abs(folder); err == nil {
		return full
	}
	return folder // the working folder is gone; every use of the path will fail
}
