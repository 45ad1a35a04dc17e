package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// The token that is made at first start lives here because it is the default of
// one variable, WEBHOOK_TOKENS: one that is not written in the source but made, once, and kept.

const (
	tokenFileName = "webhook-token"
	tokenBytes    = 32      // of randomness
	maxTokenFile  = 4 << 10 // bytes
)

// Tokens are the webhook tokens in force and where they come from.
type Tokens struct {
	List    secret.List
	File    string // that keeps the token; "" when the environment gives the tokens
	Made    bool   // the file was made by this call
	Exposed bool   // the permissions of the file let other users read it
}

// Tokens gives the tokens of the environment, or else the kept one. The error
// is fs.ErrNotExist when there is none yet.
func (c Config) Tokens() (Tokens, error) {
	if len(c.WebhookTokens) > 0 {
		return Tokens{List: c.WebhookTokens}, nil
	}
	return readToken(c.TokenFile())
}

// EnsureTokens is Tokens, but makes a token at first start and keeps it in the
// data folder. When it returns the token is safe on disk. Of several processes
// that start at once on one folder, all get the same token.
func (c Config) EnsureTokens() (Tokens, error) {
	tokens, err := c.Tokens()
	if !errors.Is(err, fs.ErrNotExist) {
		return tokens, err
	}
	if err := os.MkdirAll(c.DataDir, 0o750); err != nil {
		return Tokens{}, fmt.Errorf("make the data folder: %w", err)
	}
	err = makeToken(c.TokenFile())
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return Tokens{}, fmt.Errorf("keep the webhook token: %w", err)
	}
	tokens, readErr := c.Tokens()
	tokens.Made = err == nil
	return tokens, readErr
}

func readToken(path string) (Tokens, error) {
	text, err := readBounded(path, maxTokenFile)
	if err != nil {
		return Tokens{}, fmt.Errorf("webhook token: %w", err)
	}
	if err := checkToken(text); err != nil {
		return Tokens{}, fmt.Errorf("webhook token: the file %s holds one that %w", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return Tokens{}, fmt.Errorf("webhook token: %w", err)
	}
	const others = 0o077
	return Tokens{List: secret.List{secret.New(text)}, File: path, Exposed: info.Mode()&others != 0}, nil
}

// ReadToken gives the first token in a file of the kind that RECEIVER_WEBHOOK_TOKENS_FILE names.
func ReadToken(path string) (secret.Value, error) {
	text, err := readBounded(path, maxSecretFile)
	if err != nil {
		return secret.Value{}, err
	}
	var list secret.List
	if err := list.Decode(text); err != nil {
		return secret.Value{}, fmt.Errorf("the file %s %w", path, err)
	}
	return list[0], nil
}

// makeToken writes a new token to path; fs.ErrExist when there is one already.
// The file gets its name only when its content is on disk.
func makeToken(path string) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), tokenFileName+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	if err := writeToken(file); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil {
		return err
	}
	return blobstore.SyncFolder(filepath.Dir(path))
}

func writeToken(file *os.File) error {
	token := make([]byte, tokenBytes)
	_, _ = rand.Read(token) // never fails
	_, err := file.WriteString(base64.RawURLEncoding.EncodeToString(token) + "\n")
	return errors.Join(err, file.Sync(), file.Close())
}
