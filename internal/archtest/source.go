package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckSource returns one sentence for each fault in the style of a Go file: log
// messages that are no constant phrases, and the variable is for ok.
func CheckSource(name string, source []byte) ([]string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var faults []string
	report := func(at token.Pos, format string, arguments ...any) {
		position := fmt.Sprintf("%s:%d: ", name, files.Position(at).Line)
		faults = append(faults, position+fmt.Sprintf(format, arguments...))
	}
	logs := importsLogger(file)
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.AssignStmt:
			if slices.ContainsFunc(node.Lhs, isNamedIs) {
				report(node.Pos(), "variable is, want ok")
			}
		case *ast.CallExpr:
			if fault := checkLogCall(node); logs && fault != "" {
				report(node.Pos(), "%s", fault)
			}
		}
		return true
	})
	return faults, nil
}

func importsLogger(file *ast.File) bool {
	return slices.ContainsFunc(file.Imports, func(spec *ast.ImportSpec) bool {
		return spec.Path.Value == `"github.com/rs/zerolog"`
	})
}

func isNamedIs(e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return ok && name.Name == "is"
}

// checkLogCall returns the fault of a call of zerolog's Msg or Msgf, or "".
func checkLogCall(call *ast.CallExpr) string {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	switch selector.Sel.Name {
	case "Msgf":
		return "log message with Msgf, want a constant message and fields"
	case "Msg":
		if len(call.Args) != 1 {
			return ""
		}
	default:
		return ""
	}
	literal, ok := call.Args[0].(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "log message is not a literal, want a constant message and fields"
	}
	message, err := strconv.Unquote(literal.Value)
	if err != nil {
		return err.Error()
	}
	if first, _ := utf8.DecodeRuneInString(message); !unicode.IsLower(first) {
		return fmt.Sprintf("log message %q, want a lower case letter first", message)
	}
	if strings.HasSuffix(message, ".") {
		return fmt.Sprintf("log message %q, want no full stop at its end", message)
	}
	return ""
}
