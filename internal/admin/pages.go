package admin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// view is the data of every page.
type view struct {
	Title    string
	Section  string           // in the navigation
	Path     string           // of the page within the listener, with its query
	Live     bool             // the page updates itself
	Did      notice           // the last action
	Notice   string           // what it did
	Warnings []Warning        // about the receiver
	Problem  *problem.Details // why the page cannot be shown
	LoggedIn bool             // there is a session
	Body     any
}

// pages are the templates, each with the frame, and the assets.
type pages struct {
	base      string // path before all links
	templates map[string]*template.Template
	assets    map[string]asset
}

type asset struct {
	content   []byte
	mediaType string
	version   string // changes with the content
}

func newPages(base string, thumb func(Artifact) bool) (*pages, error) {
	p := &pages{base: base, templates: map[string]*template.Template{}, assets: map[string]asset{}}
	if err := p.loadAssets(); err != nil {
		return nil, err
	}
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	for _, file := range names {
		name := strings.TrimSuffix(path.Base(file), ".html")
		p.templates[name], err = template.New("frame.html").Funcs(p.templateFuncs(thumb)).ParseFS(pageFiles, "pages/frame.html", "pages/parts.html", file)
		if err != nil {
			return nil, fmt.Errorf("admin: page %s: %w", name, err)
		}
	}
	return p, nil
}

func (p *pages) loadAssets() error {
	types := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
	}
	return fs.WalkDir(assetFiles, "assets", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(assetFiles, file)
		sum := sha256.Sum256(content)
		p.assets[path.Base(file)] = asset{content, types[path.Ext(file)], hex.EncodeToString(sum[:6])}
		return err
	})
}

// address is the URL of an asset. It changes with the content.
func (p *pages) address(name string) string {
	return p.base + assetsPath + name + "?v=" + p.assets[name].version
}

// showAsset answers GET /assets/{name}.
func (a *Admin) showAsset(w http.ResponseWriter, r *http.Request) {
	found, ok := a.pages.assets[chi.URLParam(r, "name")]
	if !ok {
		problem.NotFound(w, r)
		return
	}
	header := w.Header()
	header.Set("Content-Type", found.mediaType)
	header.Set("Content-Length", strconv.Itoa(len(found.content)))
	header.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == found.version {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(found.content) // the client may have disconnected
}

// notFound answers requests without a route. Browsers get a page.
func (a *Admin) notFound(w http.ResponseWriter, r *http.Request) {
	if !wantsPage(r) {
		problem.NotFound(w, r)
		return
	}
	a.show(w, r, "problem", view{}, &problem.Error{Code: problem.CodeNotFound, Detail: "This page does not exist."})
}

// wantsPage reports whether a request is from a browser that shows the response.
func wantsPage(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// show answers with a page, or with the page of the problem for err.
func (a *Admin) show(w http.ResponseWriter, r *http.Request, name string, v view, err error) {
	status := http.StatusOK
	if err != nil {
		details := problem.Describe(w, r, err)
		name, status = "problem", details.Status
		v.Title, v.Problem, v.Live = details.Title, &details, false
	}
	v.Path = r.URL.RequestURI()
	v.Did = notice(r.URL.Query().Get("did"))
	v.Notice = noticeText(v.Did, r.URL.Query().Get("n"))
	v.LoggedIn = a.auth.required()
	if v.Section != "login" {
		v.Warnings = a.warnings()
	}
	var page bytes.Buffer
	if err := a.pages.templates[name].Execute(&page, v); err != nil {
		problem.Write(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(page.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // the client may have disconnected
}
