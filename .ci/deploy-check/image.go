package deploycheck

import "strings"

// isPinned reports whether an image reference names one version: a digest, or a tag
// that begins with a number, unlike latest or edge.
func isPinned(image string) bool {
	if strings.Contains(image, "@sha256:") {
		return true
	}
	_, tag, ok := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	tag = strings.TrimPrefix(tag, "v")
	return ok && tag != "" && tag[0] >= '0' && tag[0] <= '9'
}
