package event

import (
	"encoding/hex"
	"net/url"
	"strings"
)

// WebhookPath is the path of the callback endpoint. In the URL that Deep Image calls, a slash and a token follow.
const WebhookPath = "/webhooks/deep-image"

// maxEncodings is how often a text may be percent-encoded, one around the other.
const maxEncodings = 4

// RedactURL gives a URL without what may be secret in it: user name and password,
// query, fragment, and what follows the path of our own endpoint. What is no URL
// is not shown at all.
func RedactURL(text string) string {
	if text == "" {
		return ""
	}
	address, err := url.Parse(text)
	switch {
	case err != nil || address.Scheme == "" || len(text) > MaxURLBytes:
		return Placeholder
	case address.Opaque != "" || address.Host == "":
		return address.Scheme + ":" + Placeholder
	}
	query := ""
	if address.RawQuery != "" {
		query = "?" + Placeholder
	}
	address.User, address.RawQuery, address.ForceQuery = nil, "", false
	address.Fragment, address.RawFragment = "", ""
	return redactText(address.String()) + query
}

// redactText replaces the secrets in a text. They are also looked for under percent
// signs and escaped slashes; a text that hides one so is shown without that veil.
func redactText(text string) string {
	if !strings.ContainsAny(text, "/=%") {
		return text // no secret that is known here does without
	}
	shown := redactPlain(text)
	layer := shown
	for range maxEncodings {
		below := unveil(layer)
		if below == layer {
			break
		}
		layer = redactPlain(below)
		if layer != below {
			shown = layer
		}
	}
	return shown
}

// redactPlain replaces the secrets that stand in text as they are.
func redactPlain(text string) string {
	return redactParameters(redactUsers(redactWebhook(text)))
}

// redactWebhook drops everything behind the first path of our own endpoint.
func redactWebhook(text string) string {
	end := indexFold(text, WebhookPath+"/") + len(WebhookPath+"/")
	if end < len(WebhookPath+"/") || end == len(text) {
		return text
	}
	return text[:end] + Placeholder
}

// redactUsers replaces the user name and password of every URL in text.
func redactUsers(text string) string {
	var shown strings.Builder
	for {
		before, rest, found := strings.Cut(text, "://")
		shown.WriteString(before)
		if !found {
			return shown.String()
		}
		shown.WriteString("://")
		end := indexAny(rest, "/?#<>\""+whiteSpace)
		if at := strings.LastIndexByte(rest[:end], '@'); at > 0 {
			shown.WriteString(Placeholder)
			rest = rest[at:]
		}
		text = rest
	}
}

// redactParameters replaces the value of every parameter, as in name=value, whose name says secret.
func redactParameters(text string) string {
	var shown strings.Builder
	for {
		before, rest, found := strings.Cut(text, "=")
		shown.WriteString(before)
		if !found {
			return shown.String()
		}
		shown.WriteByte('=')
		name := before[strings.LastIndexAny(before, "?&;#/"+whiteSpace)+1:]
		if end := indexAny(rest, "&#<>\""+whiteSpace); end > 0 && isSecretParameter(name) {
			shown.WriteString(Placeholder)
			rest = rest[end:]
		}
		text = rest
	}
}

// unveil resolves percent signs and escaped slashes as far as they make sense.
func unveil(text string) string {
	text = strings.ReplaceAll(text, `\/`, "/")
	var plain strings.Builder
	for {
		before, rest, found := strings.Cut(text, "%")
		plain.WriteString(before)
		if !found {
			return strings.ToValidUTF8(plain.String(), "\uFFFD")
		}
		var octet [1]byte
		if len(rest) < 2 {
			plain.WriteByte('%')
		} else if _, err := hex.Decode(octet[:], []byte(rest[:2])); err != nil {
			plain.WriteByte('%')
		} else {
			plain.WriteByte(octet[0])
			rest = rest[2:]
		}
		text = rest
	}
}

// indexAny is where the first of chars is in text, or the length of text.
func indexAny(text, chars string) int {
	if index := strings.IndexAny(text, chars); index >= 0 {
		return index
	}
	return len(text)
}

// indexFold is where part, in lower case, is in text, whose ASCII letters may be of any case.
func indexFold(text, part string) int {
	return strings.Index(lower(text), part)
}

// lower makes ASCII letters lower case and leaves the length of text as it is.
func lower(text string) string {
	octets := []byte(text)
	for i, octet := range octets {
		if 'A' <= octet && octet <= 'Z' {
			octets[i] = octet + 'a' - 'A'
		}
	}
	return string(octets)
}
