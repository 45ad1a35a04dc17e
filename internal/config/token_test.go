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
		t.Fatalf("%d tokens, want 1", len(tokens.List))
	}
	return tokens
}

func TestFirstStartMakesATokenAndLaterStartsKeepIt(t *testing.T) {
	t.Parallel()
	c := config.Config{DataDir: filepath.Join(t.TempDir(), "new", "data")}
	if _, err := c.Tokens(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before the first start the error is %v", err)
	}
	first := ensure(t, c)
	if !first.Made || first.Exposed || first.File != c.TokenFile() {
		t.Errorf("first start gives %+v", first)
	}
	random, err := base64.RawURLEncoding.DecodeString(first.List[0].Reveal())
	if err != nil || len(random) != 32 {
		t.Errorf("token has %d bytes of randomness, %v", len(random), err)
	}
	later := ensure(t, c)
	if later.Made || later.List[0] != first.List[0] {
		t.Error("a later start has another token")
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
		t.Errorf("the data folder holds %v", entries)
	}
	info, err := os.Stat(c.TokenFile())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(c.TokenFile(), 0o640); err != nil {
		t.Fatal(err)
	}
	if !ensure(t, c).Exposed {
		t.Error("nothing is said of a file that others can read")
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
			t.Fatal("starts have different tokens")
		}
		if tokens.Made {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d starts made a token, want 1", made)
	}
}

func TestTokensOfTheEnvironmentWin(t *testing.T) {
	t.Parallel()
	c := config.Config{DataDir: t.TempDir(), WebhookTokens: secret.List{secret.New("given")}}
	tokens := ensure(t, c)
	if tokens.List[0].Reveal() != "given" || tokens.File != "" || tokens.Made {
		t.Errorf("got %+v", tokens)
	}
	if _, err := os.Stat(c.TokenFile()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a token file was made: %v", err)
	}
}

func TestDamagedTokenFileStopsTheStartAndStays(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, content, want string }{
		{"empty", "", "is empty"},
		{"blank", "\n\n", "is empty"},
		{"short", "hunter2\n", "has 7 characters"},
		{"two lines", strings.Repeat("hunter2", 4) + "\n" + strings.Repeat("hunter2", 4), "holds a space or a character"},
		{"large", strings.Repeat("k", 5000), "is longer than 4096 bytes"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config.Config{DataDir: t.TempDir()}
			if err := os.WriteFile(c.TokenFile(), []byte(row.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := c.EnsureTokens()
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), c.TokenFile()) {
				t.Errorf("error is %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error shows the token: %v", err)
			}
			if content, _ := os.ReadFile(c.TokenFile()); string(content) != row.content {
				t.Error("the file was changed")
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
				t.Error("no error")
			}
		})
	}
}
