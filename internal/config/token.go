package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/deepimage-receiver/receiver/internal/filesystem"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// The generated token is here because it is the default of the variable WEBHOOK_TOKENS.

const (
	tokenFileName = "webhook-token"
	tokenBytes    = 32      // of randomness
	maxTokenFile  = 4 << 10 // bytes
)

// Tokens are the webhook tokens and where they come from.
type Tokens struct {
	List    secret.List
	File    string // of the generated token; "" if the environment has the tokens
	Made    bool   // this call generated the token
	Exposed bool   // other users can read the file
}

// Tokens returns the tokens of the environment, or else the generated one. The error is fs.ErrNotExist if there is none yet.
func (c Config) Tokens() (Tokens, error) {
	if len(c.WebhookTokens) > 0 {
		return Tokens{List: c.WebhookTokens}, nil
	}
	return readToken(c.TokenFile())
}

// EnsureTokens is Tokens, but generates a token at the first start and stores it in the data folder before it returns.
// Processes that start at the same time on one folder get the same token.
func (c Config) EnsureTokens() (Tokens, error) {
	tokens, err := c.Tokens()
	if !errors.Is(err, fs.ErrNotExist) {
		return tokens, err
	}
	if err := filesystem.MakeFolder(c.DataDir, 0o750); err != nil {
		return Tokens{}, fmt.Errorf("make the data folder: %w", filesystem.Explain(c.DataDir, err))
	}
	err = makeToken(c.TokenFile())
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return Tokens{}, fmt.Errorf("store the webhook token: %w", filesystem.Explain(c.DataDir, err))
	}
	tokens, readErr := c.Tokens()
	tokens.Made = err == nil
	return tokens, readErr
}

func readToken(path string) (Tokens, error) {
	text, err := readBounded(path, maxTokenFile)
	if err != nil {
		return Tokens{}, fmt.Errorf("webhook token: %w", filesystem.Explain(path, err))
	}
	if err := checkToken(text); err != nil {
		return Tokens{}, fmt.Errorf("webhook token: the token in the file %s %w", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return Tokens{}, fmt.Errorf("webhook token: %w", err)
	}
	const others = 0o077
	return Tokens{List: secret.List{secret.New(text)}, File: path, Exposed: info.Mode()&others != 0}, nil
}

// ReadToken returns the first token in a file for RECEIVER_WEBHOOK_TOKENS_FILE.
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

// makeToken writes a new token to path. The error is fs.ErrExist if there is one. The file gets its name when its content
// is on disk. Whether its folder can be synced is reported by who starts on it.
func makeToken(path string) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), tokenFileName+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	err = writeToken(file)
	if err == nil {
		err = filesystem.Name(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return filesystem.TrySyncFolder(filepath.Dir(path))
}

func writeToken(file *os.File) error {
	token := make([]byte, tokenBytes)
	_, _ = rand.Read(token) // never fails
	_, err := file.WriteString(base64.RawURLEncoding.EncodeToString(token) + "\n")
	return errors.Join(err, file.Sync(), file.Close())
}
