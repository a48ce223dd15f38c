// Package ldif reads the exports of a directory (RFC 2849) as far as the ICAO
// public key directory needs it: binary attributes in base64, one after the
// other, in little memory. It writes nothing and follows no reference to
// other places.
package ldif

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// Value is one attribute of one entry.
type Value struct {
	DN        string // of the entry
	Attribute string // in lower case, without options such as ;binary
	Data      []byte // decoded; the reader's own, valid until the next value
	Line      int    // where it begins
}

// maxLine bounds one attribute as it is written, folded lines joined. The
// longest in the directory are master lists of about 1.5 MB.
const maxLine = 6 << 20

// Read calls take for every attribute whose name is wanted, in the order of
// the file. Records that delete are skipped. An error names the line.
func Read(in io.Reader, wanted []string, take func(Value) error) error {
	r := &reader{in: bufio.NewReaderSize(in, 64<<10), wanted: map[string]bool{}, take: take}
	for _, w := range wanted {
		r.wanted[strings.ToLower(w)] = true
	}
	for {
		line, err := r.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = r.line(line)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", r.begin, err)
		}
	}
}

type reader struct {
	in     *bufio.Reader
	wanted map[string]bool
	take   func(Value) error

	begin, number int // of the lines: where the current one begins, how many were read
	buf, data     []byte
	dn            string
	modifies      bool // the record changes an entry
	deletes       bool // what follows names what is to go
}

// next joins a folded line (RFC 2849 note 2).
func (r *reader) next() ([]byte, error) {
	r.buf, r.begin = r.buf[:0], r.number+1
	for {
		part, more, err := r.in.ReadLine()
		if err != nil {
			return nil, err
		}
		if len(r.buf)+len(part) > maxLine {
			return nil, fmt.Errorf("longer than %d MiB", maxLine>>20)
		}
		r.buf = append(r.buf, part...)
		if more {
			continue
		}
		r.number++
		if next, err := r.in.Peek(1); err != nil || next[0] != ' ' {
			return r.buf, nil
		}
		r.in.Discard(1)
	}
}

func (r *reader) line(line []byte) error {
	switch {
	case len(line) == 0: // the entry ends
		r.dn, r.modifies, r.deletes = "", false, false
		return nil
	case line[0] == '#':
		return nil
	case len(line) == 1 && line[0] == '-': // the next change of the same entry
		r.deletes = false
		return nil
	}
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok {
		return fmt.Errorf("no attribute with a colon: is this an LDIF file?")
	}
	attribute, _, _ := strings.Cut(strings.ToLower(string(name)), ";")
	if len(attribute) > 64 {
		return fmt.Errorf("an attribute with a name of %d characters", len(attribute))
	}
	encoded := len(value) > 0 && value[0] == ':'
	if encoded {
		value = value[1:]
	}
	value = bytes.TrimLeft(value, " ")
	switch attribute {
	case "dn":
		r.dn, r.modifies, r.deletes = short(value), false, false
		return nil
	case "changetype":
		r.modifies = string(value) == "modify"
		r.deletes = string(value) == "delete"
		return nil
	case "delete":
		r.deletes = r.modifies
	}
	if !r.wanted[attribute] || r.deletes {
		return nil
	}
	if !encoded {
		return fmt.Errorf("%s is not in base64", attribute)
	}
	return r.decode(attribute, value)
}

func (r *reader) decode(attribute string, value []byte) error {
	if n := base64.StdEncoding.DecodedLen(len(value)); cap(r.data) < n {
		r.data = make([]byte, n)
	}
	n, err := base64.StdEncoding.Decode(r.data[:cap(r.data)], value)
	if err != nil {
		return fmt.Errorf("%s is not in base64", attribute)
	}
	return r.take(Value{DN: r.dn, Attribute: attribute, Data: r.data[:n], Line: r.begin})
}

// short keeps a name that people will read within bounds.
func short(b []byte) string {
	const most = 256
	if len(b) > most {
		b = b[:most]
	}
	return strings.ToValidUTF8(string(b), "?")
}
