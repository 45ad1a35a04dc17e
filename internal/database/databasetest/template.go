package databasetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// Template makes places whose schemas exist. It migrates once for each kind of database in this process; each place gets a copy.
type Template struct {
	migrate  func(context.Context, Stores) error
	mutex    sync.Mutex
	files    map[string][]byte // of SQLite, by name; nil until the first place is made
	database string            // name in the shared Postgres server; "" until the first place is made
}

// NewTemplate returns the template of the schemas that migrate creates.
func NewTemplate(migrate func(context.Context, Stores) error) *Template {
	return &Template{migrate: migrate}
}

// Each runs test once for each kind of database, at a new place with schemas.
func (p *Template) Each(t *testing.T, test func(t *testing.T, place *Place)) {
	t.Helper()
	each(t, p.NewPlace, test)
}

// NewPlace is like the function NewPlace, but the place has schemas.
func (p *Template) NewPlace(t testing.TB, kind database.Kind) *Place {
	t.Helper()
	if kind == database.Postgres {
		server := sharedServer(t)
		return &Place{Kind: kind, Config: newDatabase(t, server, " TEMPLATE "+p.migratedDatabase(t, server)), Migrated: true}
	}
	place := NewPlace(t, kind)
	for name, content := range p.migratedFiles(t) {
		if err := os.WriteFile(filepath.Join(place.Folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	place.Migrated = true
	return place
}

func (p *Template) migratedFiles(t testing.TB) map[string][]byte {
	t.Helper()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.files != nil {
		return p.files
	}
	place := NewPlace(t, database.SQLite)
	p.prepare(t, place)
	files := map[string][]byte{}
	for _, name := range []string{"inbox.db", "work.db"} { // closed, so they have no other files
		content, err := os.ReadFile(filepath.Join(place.Folder, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = content
	}
	p.files = files
	return files
}

func (p *Template) migratedDatabase(t testing.TB, server *Server) string {
	t.Helper()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.database != "" {
		return p.database
	}
	name := newName()
	administer(t, server, "CREATE DATABASE "+name)
	p.prepare(t, &Place{Kind: database.Postgres, Config: ConfigOf(server.URL(name))})
	p.database = name
	return name
}

// prepare migrates the stores of a place, and closes them.
func (p *Template) prepare(t testing.TB, place *Place) {
	t.Helper()
	stores := place.Open(t)
	if err := p.migrate(t.Context(), stores); err != nil {
		t.Fatal(err)
	}
	if err := stores.Close(); err != nil {
		t.Fatal(err)
	}
}
