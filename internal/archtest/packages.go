// Package archtest tests the rules of this repository: which package may import
// which, what the binary links, which words and log messages are allowed, and
// that the documentation and the Dockerfile match the code.
package archtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Package is one package of the module.
type Package struct {
	Path    string   // from the module's root, such as ./internal/event
	Doc     string   // first sentence of the package comment; "" without one
	Imports []Import // of all files except tests, for all systems
}

// Import is one import in one file.
type Import struct {
	File string // base name of the file
	Path string // ./internal/event for a package of the module, else the import path
}

type listed struct {
	Dir, ImportPath, Doc              string
	GoFiles, CgoFiles, IgnoredGoFiles []string
	Module                            struct{ Path string }
}

// Load reads the packages of the module at dir that match the patterns of the go command.
func Load(ctx context.Context, dir string, patterns ...string) ([]Package, error) {
	output, err := goList(ctx, dir, "-json=Dir,ImportPath,Doc,GoFiles,CgoFiles,IgnoredGoFiles,Module", patterns...)
	if err != nil {
		return nil, err
	}
	var packages []Package
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var found listed
		if err := decoder.Decode(&found); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		imports, err := found.imports()
		if err != nil {
			return nil, err
		}
		packages = append(packages, Package{Path: found.relative(found.ImportPath), Doc: found.Doc, Imports: imports})
	}
}

// Linked returns the import paths of all packages that the package is linked from.
func Linked(ctx context.Context, dir, pattern string) ([]string, error) {
	output, err := goList(ctx, dir, "-deps", pattern)
	return strings.Fields(string(output)), err
}

func goList(ctx context.Context, dir, flag string, patterns ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "go", append([]string{"list", flag, "--"}, patterns...)...)
	command.Dir = dir
	output, err := command.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("go list: %w: %s", err, exit.Stderr)
	}
	return output, err
}

// relative turns an import path of the module into a path such as ./internal/event.
func (l listed) relative(importPath string) string {
	if rest, ok := strings.CutPrefix(importPath, l.Module.Path); ok && (rest == "" || rest[0] == '/') {
		return "." + rest
	}
	return importPath
}

func (l listed) imports() ([]Import, error) {
	var imports []Import
	for _, name := range slices.Concat(l.GoFiles, l.CgoFiles, l.IgnoredGoFiles) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(l.Dir, name), nil, parser.ImportsOnly)
		if err != nil {
			return nil, err
		}
		for _, spec := range file.Imports {
			importPath, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			imports = append(imports, Import{File: name, Path: l.relative(importPath)})
		}
	}
	return imports, nil
}
