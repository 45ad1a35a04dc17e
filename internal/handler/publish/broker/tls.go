package broker

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// TLS reads the parameters of TLS: ca, a file of certificate authorities instead of those of the system; cert and key,
// files of the client certificate, which are read for each connection so that they can be renewed. If on is false it
// returns nil, and each of these parameters is a fault.
func (p *Parameters) TLS(on bool) *tls.Config {
	authorities, certificate, key := p.Text("ca"), p.Text("cert"), p.Text("key")
	if !on {
		for _, name := range []string{"ca", "cert", "key"} {
			if p.Has(name) {
				p.Fault(name, "needs a connection with TLS")
			}
		}
		return nil
	}
	made := &tls.Config{MinVersion: tls.VersionTLS12}
	if authorities != "" {
		made.RootCAs = p.authorities(authorities)
	}
	switch {
	case certificate != "" && key != "":
		p.certificate(made, certificate, key)
	case certificate != "":
		p.Fault("cert", "needs the parameter key too")
	case key != "":
		p.Fault("key", "needs the parameter cert too")
	}
	return made
}

func (p *Parameters) authorities(file string) *x509.CertPool {
	pool := x509.NewCertPool()
	text, err := os.ReadFile(file)
	switch {
	case err != nil:
		p.Fault("ca", fmt.Sprintf("names a file that cannot be read: %s", err))
	case !pool.AppendCertsFromPEM(text):
		p.Fault("ca", "names a file without a certificate in PEM form")
	}
	return pool
}

func (p *Parameters) certificate(into *tls.Config, certificate, key string) {
	pair := httpclient.ClientCertificate{CertFile: certificate, KeyFile: key}
	if err := pair.Check(); err != nil {
		p.Fault("cert", fmt.Sprintf("cannot be used together with key: %s", err))
	}
	pair.Use(into)
}
