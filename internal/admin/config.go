package admin

import (
	"net"
	"strconv"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// Config is the address and the token of the admin listener.
type Config struct {
	Addr     string       `envconfig:"ADDR" default:"127.0.0.1:8081" desc:"address of the admin listener with the dashboard, host:port; other than loopback it needs ADMIN_TOKEN"`
	BasePath string       `envconfig:"BASE_PATH" unset:"none" desc:"path under which a proxy serves the admin listener, such as /receiver; it may remove the path from requests or keep it"`
	Token    secret.Value `envconfig:"TOKEN" unset:"no token, only for loopback addresses" desc:"token for the admin listener, of at least 16 characters, as Bearer or as the password of Basic"`
}

// minTokenLength and maxTokenLength bound the token, in characters.
const (
	minTokenLength = 16
	maxTokenLength = 512
)

// Validate returns the first conflict in the configuration, or nil.
func (c Config) Validate() error {
	host, port, err := net.SplitHostPort(c.Addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return &configtypes.Conflict{Name: "ADDR", Text: "must be an address such as 127.0.0.1:8081"}
	}
	if fault := c.basePathFault(); fault != "" {
		return &configtypes.Conflict{Name: "BASE_PATH", Text: fault}
	}
	token := c.Token.Reveal()
	switch {
	case token == "" && !configtypes.IsLoopback(host):
		return &configtypes.Conflict{Name: "TOKEN", Text: "must be set unless ADMIN_ADDR is a loopback address; otherwise anyone could see all images"}
	case token == "":
		return nil
	case len(token) < minTokenLength || len(token) > maxTokenLength:
		text := "must have from " + strconv.Itoa(minTokenLength) + " to " + strconv.Itoa(maxTokenLength) + " characters"
		return &configtypes.Conflict{Name: "TOKEN", Text: text}
	case !sanitize.IsPlainASCII(token):
		return &configtypes.Conflict{Name: "TOKEN", Text: "must not have spaces or characters outside ASCII"}
	}
	return nil
}
