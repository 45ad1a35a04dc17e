package broker

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/secret"
)

// maxAddressBytes bounds the URL of a broker.
const maxAddressBytes = 4096

// Address is the parsed URL of a broker: scheme://user:password@host:port,host:port/path?parameters.
type Address struct {
	Scheme     string
	User       string // "" if there is none
	Password   secret.Value
	Hosts      []string // as written: host or host:port
	Path       string   // unescaped, without the leading slash
	Parameters *Parameters
}

// ParseAddress parses a URL. The text of the error follows the name of the variable. It quotes nothing, because a badly
// escaped password can be anywhere.
func ParseAddress(text string) (Address, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || len(text) > maxAddressBytes || strings.ContainsFunc(text, isControl) {
		return Address{}, errors.New("is not an address such as nats://host:4222/subject")
	}
	if strings.Contains(rest, "#") {
		return Address{}, errors.New("holds a #; write it as %23")
	}
	authority, tail := rest, ""
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		authority, tail = rest[:end], rest[end:]
	}
	made := Address{Scheme: strings.ToLower(scheme)}
	if err := made.readAuthority(authority); err != nil {
		return Address{}, err
	}
	if err := made.readTail(tail); err != nil {
		return Address{}, err
	}
	return made, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// readAuthority parses user, password and hosts. A password may contain @, hosts do not.
func (a *Address) readAuthority(authority string) error {
	hosts := authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, password, _ := strings.Cut(authority[:at], ":")
		plainUser, userErr := url.PathUnescape(user)
		plainPassword, passwordErr := url.PathUnescape(password)
		if userErr != nil || passwordErr != nil {
			return errors.New("has a user or password with a % that begins no escape; write it as %25")
		}
		a.User, a.Password, hosts = plainUser, secret.New(plainPassword), authority[at+1:]
	}
	if hosts == "" {
		return nil
	}
	for host := range strings.SplitSeq(hosts, ",") {
		if parsed, err := url.Parse("//" + host); err != nil || parsed.Host != host || parsed.Hostname() == "" {
			return errors.New("has a host that is none; in a password / ? # % are written as %2F %3F %23 %25")
		}
		a.Hosts = append(a.Hosts, host)
	}
	return nil
}

func (a *Address) readTail(tail string) error {
	path, query, _ := strings.Cut(tail, "?")
	plain, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil {
		return errors.New("has a path with a % that begins no escape; write it as %25")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("has parameters that are not written as name=value&name=value")
	}
	a.Path, a.Parameters = plain, &Parameters{values: values}
	return nil
}

// HostsWithPort returns the hosts, with a default port. At least one is required.
func (a *Address) HostsWithPort(port string) ([]string, error) {
	if len(a.Hosts) == 0 {
		return nil, fmt.Errorf("names no host, such as %s://host:%s", a.Scheme, port)
	}
	hosts := make([]string, 0, len(a.Hosts))
	for _, host := range a.Hosts {
		if parsed, err := url.Parse("//" + host); err != nil || parsed.Port() == "" {
			host = strings.TrimSuffix(host, ":") + ":" + port
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}
