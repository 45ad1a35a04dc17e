// Package api holds the specification of what the receiver serves, for programs and
// for people to read, and examples of the callbacks that it takes.
package api

import (
	"embed"
	"io/fs"
)

//go:embed openapi.yaml examples/*.json
var files embed.FS

// Specification is the OpenAPI 3.1 document, as YAML.
func Specification() ([]byte, error) { return files.ReadFile("openapi.yaml") }

// Examples are callbacks as Deep Image sends them, one *.json file each.
func Examples() (fs.FS, error) { return fs.Sub(files, "examples") }
