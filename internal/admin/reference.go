package admin

import (
	"net/http"
	"strings"

	"github.com/deepimage-receiver/receiver/api"
)

// referencePage is the body of the page about the API.
type referencePage struct {
	*api.Reference
	Base  string // of the addresses of this listener
	Token bool   // it has to be shown
}

// showReference answers GET /api: the specification for people to read.
func (a *Admin) showReference(w http.ResponseWriter, r *http.Request) {
	scheme := "http"
	if isSecure(r) {
		scheme = "https"
	}
	body := referencePage{Reference: a.reference, Base: scheme + "://" + r.Host, Token: a.access.required()}
	a.show(w, r, "reference", view{Title: "API", Section: "api", Body: body}, nil)
}

// Call is how an operation is asked for in a shell.
func (p referencePage) Call(group api.Group, o api.Operation) string {
	call := []string{"curl"}
	if o.Method != http.MethodGet {
		call = append(call, "-X", o.Method)
	}
	base := "http://localhost:8080" // of the public listener; which name it has outside is not known
	if group.Name == "admin" {
		base = p.Base
		if p.Token {
			call = append(call, `-H "Authorization: Bearer $RECEIVER_ADMIN_TOKEN"`)
		}
	}
	if o.Request != nil {
		call = append(call, "-d @body.json")
	}
	return strings.Join(append(call, "'"+base+strings.NewReplacer("{", "", "}", "", "'", "").Replace(variables(o.Path))+"'"), " ")
}

// variables writes the parameters of a path in capitals, as what is to be put there.
func variables(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = strings.ToUpper(part)
		}
	}
	return strings.Join(parts, "/")
}

// prose is a part of a text: plain, or code.
type prose struct {
	Text string
	Code bool
}

// paragraph tells the code in a text from the rest, by its backticks.
func paragraph(text string) (parts []prose) {
	for i, part := range strings.Split(strings.TrimSpace(text), "`") {
		if part != "" {
			parts = append(parts, prose{part, i%2 == 1})
		}
	}
	return parts
}
