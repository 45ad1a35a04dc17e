package config_test

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

func ensure(t *testing.T, c config.Config) config.Tokens {
	t.Helper()
	tokens, err := c.EnsureTokens()
	if err != nil {
		t.Fatal(err)
	}
	if len(tokens.List) != 1 {
		t.Fatalf("tokens = %d, want 1", len(tokens.List))
	}
	return tokens
}

func TestFirstStartMakesATokenAndLaterStartsKeepIt(t *testing.T) {
	t.Parallel()
	c := config.Config{DataDir: filepath.Join(t.TempDir(), "new", "data")}
	if _, err := c.Tokens(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Tokens() before the first start = %v, want %v", err, fs.ErrNotExist)
	}
	first := ensure(t, c)
	if !first.Made || first.Exposed || first.File != c.TokenFile() {
		t.Errorf("EnsureTokens() at the first start = %+v, want a generated token", first)
	}
	random, err := base64.RawURLEncoding.DecodeString(first.List[0].Reveal())
	if err != nil || len(random) != 32 {
		t.Errorf("token has %d random bytes, error %v, want 32", len(random), err)
	}
	later := ensure(t, c)
	if later.Made || later.List[0] != first.List[0] {
		t.Error("the token of a later start differs, want the same")
	}
}

func TestTokenFileIsForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	c := config.Config{DataDir: t.TempDir()}
	ensure(t, c)
	entries, err := os.ReadDir(c.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "webhook-token" {
		t.Errorf("data folder = %v, want only the token file", entries)
	}
	info, err := os.Stat(c.TokenFile())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v, want 0600", info.Mode(), err)
	}
	if err := os.Chmod(c.TokenFile(), 0o640); err != nil {
		t.Fatal(err)
	}
	if !ensure(t, c).Exposed {
		t.Error("Exposed = false, want true for a file that others can read")
	}
}

func TestStartsAtTheSameTimeAgreeOnOneToken(t *testing.T) {
	t.Parallel()
	c := config.Config{DataDir: t.TempDir()}
	const starts = 32
	got := make([]config.Tokens, starts)
	var group sync.WaitGroup
	for i := range starts {
		group.Go(func() {
			tokens, err := c.EnsureTokens()
			if err != nil {
				t.Error(err)
			}
			got[i] = tokens
		})
	}
	group.Wait()
	made := 0
	for _, tokens := range got {
		if len(tokens.List) != 1 || tokens.List[0] != got[0].List[0] {
			t.Fatal("tokens of concurrent starts differ, want the same")
		}
		if tokens.Made {
			made++
		}
	}
	if made != 1 {
		t.Errorf("starts that generated a token = %d, want 1", made)
	}
}

func TestTokensOfTheEnvironmentWin(t *testing.T) {
	t.Parallel()
	c := config.Config{DataDir: t.TempDir(), WebhookTokens: secret.List{secret.New("given")}}
	tokens := ensure(t, c)
	if tokens.List[0].Reveal() != "given" || tokens.File != "" || tokens.Made {
		t.Errorf("tokens = %+v, want those of the environment", tokens)
	}
	if _, err := os.Stat(c.TokenFile()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("token file: %v, want none", err)
	}
}

func TestDamagedTokenFileIsAnError(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, content string }{
		{name: "empty"},
		{name: "blank", content: "\n\n"},
		{name: "short", content: "hunter2\n"},
		{name: "two lines", content: strings.Repeat("hunter2", 4) + "\n" + strings.Repeat("hunter2", 4)},
		{name: "large", content: strings.Repeat("k", 5000)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config.Config{DataDir: t.TempDir()}
			if err := os.WriteFile(c.TokenFile(), []byte(row.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := c.EnsureTokens()
			if err == nil || !strings.Contains(err.Error(), c.TokenFile()) {
				t.Errorf("EnsureTokens() = %v, want an error that names the file", err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error = %v, want it without the token", err)
			}
			if content, _ := os.ReadFile(c.TokenFile()); string(content) != row.content {
				t.Errorf("content = %q, want it unchanged", content)
			}
		})
	}
}

func TestDataFolderThatCannotBeMade(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "a file where a folder should be")
	for name, folder := range map[string]string{"is a file": file, "is below a file": filepath.Join(file, "data")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := (config.Config{DataDir: folder}).EnsureTokens(); err == nil {
				t.Error("EnsureTokens() = no error, want one")
			}
		})
	}
}
