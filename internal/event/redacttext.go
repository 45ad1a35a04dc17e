package event

import (
	"encoding/hex"
	"net/url"
	"strings"
)

// WebhookPath is the path of the callback endpoint. In the URL that Deep Image calls, a slash and a token follow.
const WebhookPath = "/webhooks/deep-image"

// maxEncodings is the number of nested percent-encodings that are searched for secrets.
const maxEncodings = 4

// RedactURL returns a URL without what may be secret: user name and password, query, fragment, and what follows
// WebhookPath. For a text that is not a URL it returns Placeholder.
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

// redactText replaces the secrets in a text. It also searches below percent-encoding and escaped slashes; a text with an
// encoded secret is returned decoded.
func redactText(text string) string {
	if !strings.ContainsAny(text, "/=%:") {
		return text // every known secret needs one of these
	}
	shown := redactPlain(text)
	layer := shown
	for range maxEncodings {
		below := decodeLayer(layer)
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

// redactPlain replaces the secrets in text, without decoding it.
func redactPlain(text string) string {
	return redactParameters(redactUsers(redactMembers(redactWebhook(text))))
}

// redactMembers replaces everything behind the first name of a member that is secret, as in a log line with "password": "…". The quotation
// marks may be escaped any number of times.
func redactMembers(text string) string {
	const longestName = 256 // bytes, with escapes and white space
	for end := range len(text) {
		if text[end] != ':' || end == len(text)-1 {
			continue
		}
		name := strings.TrimRight(text[max(0, end-longestName):end], whiteSpace)
		if name == "" || name[len(name)-1] != '"' && name[len(name)-1] != '\'' {
			continue
		}
		name = strings.TrimRight(name[:len(name)-1], `\`)
		name = name[strings.LastIndexAny(name, `"'`)+1:]
		if isSecretName(name) || isWebhookName(name) {
			return text[:end+1] + Placeholder
		}
	}
	return text
}

// redactWebhook replaces everything behind the first WebhookPath.
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

// redactParameters replaces the value of every parameter with a secret name, as in name=value.
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

// decodeLayer decodes valid percent signs and escaped slashes once.
func decodeLayer(text string) string {
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

// indexAny returns the index of the first of chars in text, or the length of text.
func indexAny(text, chars string) int {
	if index := strings.IndexAny(text, chars); index >= 0 {
		return index
	}
	return len(text)
}

// indexFold returns the index of part, which is in lower case, in text without regard to the case of ASCII letters.
func indexFold(text, part string) int {
	return strings.Index(lower(text), part)
}

// lower returns text with ASCII letters in lower case; its length stays the same.
func lower(text string) string {
	octets := []byte(text)
	for i, octet := range octets {
		if 'A' <= octet && octet <= 'Z' {
			octets[i] = octet + 'a' - 'A'
		}
	}
	return string(octets)
}
