// Package api holds the OpenAPI specification of the receiver, and examples of callbacks.
package api

import (
	"embed"
	"io/fs"
)

//go:embed openapi.yaml examples/*.json
var files embed.FS

// Specification returns the OpenAPI 3.1 document as YAML.
func Specification() ([]byte, error) { return files.ReadFile("openapi.yaml") }

// Examples returns callbacks of Deep Image, one in each *.json file.
func Examples() (fs.FS, error) { return fs.Sub(files, "examples") }
