package pki

import (
	"errors"

	"gateagent/internal/ber"
)

// maxNesting bounds how deep elements of indefinite length may nest; a message
// needs six levels. Each level copies what is in it, so the size is bounded
// too; the largest messages in use have about one megabyte.
const (
	maxNesting    = 10
	maxIndefinite = 4 << 20
)

// definite rewrites elements of indefinite length (X.690 section 8.1.3.6) to
// definite length. Input without any is returned as it is.
func definite(b []byte) ([]byte, error) {
	if len(b) < 2 || b[1] != 0x80 {
		return b, nil
	}
	if len(b) > maxIndefinite {
		return nil, errors.New("too long for elements of indefinite length")
	}
	out, rest, err := rewrite(b, 0)
	if err == nil && len(rest) != 0 {
		err = errors.New("bytes after the element")
	}
	return out, err
}

func rewrite(b []byte, depth int) (out, rest []byte, err error) {
	if depth > maxNesting {
		return nil, nil, errors.New("elements nest too deeply")
	}
	if len(b) >= 2 && b[0]&0x1F != 0x1F && b[1] != 0x80 {
		t, rest, err := ber.Next(b)
		return t.Raw, rest, err
	}
	if len(b) < 2 || b[0]&0x20 == 0 || b[0]&0x1F == 0x1F {
		return nil, nil, errors.New("indefinite length where there can be none")
	}
	var parts [][]byte
	for rest = b[2:]; ; {
		if len(rest) >= 2 && rest[0] == 0 && rest[1] == 0 {
			return ber.Make(uint32(b[0]), parts...), rest[2:], nil
		}
		var p []byte
		if p, rest, err = rewrite(rest, depth+1); err != nil {
			return nil, nil, err
		}
		parts = append(parts, p)
	}
}
