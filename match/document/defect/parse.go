package defect

import (
	"errors"
	"fmt"
	"strings"

	"gateagent/internal/ber"
	"gateagent/match/document/pki"
)

// Bounds of a list. The lists in use are some ten kilobytes long.
const (
	maxList    = 4 << 20
	maxEntries = 16384
	maxDefects = 64 // of one entry
)

// Parse reads DefectList, the content of the signed message.
func Parse(der []byte) (*List, error) {
	if len(der) > maxList {
		return nil, fmt.Errorf("defect list of %d bytes; %d are allowed", len(der), maxList)
	}
	l, err := parse(der)
	if err != nil {
		return nil, fmt.Errorf("defect list: %w", err)
	}
	return l, nil
}

func parse(der []byte) (*List, error) {
	body, err := ber.Expect(der, ber.Sequence)
	if err != nil {
		return nil, err
	}
	version, body, err := ber.Take(body, ber.Integer)
	if err != nil {
		return nil, err
	}
	alg, body, err := ber.Take(body, ber.OID)
	if err != nil {
		return nil, err
	}
	set, body, err := ber.Take(body, ber.Set)
	if err != nil {
		return nil, err
	}
	if len(body) != 0 {
		return nil, errors.New("bytes after the last field")
	}
	l := &List{}
	if l.Version, err = small(version.Value); err != nil || l.Version > 1 {
		return nil, errors.New("a version that is not known here")
	}
	oid, err := pki.OID(alg.Value)
	if err != nil {
		return nil, err
	}
	l.Hash, _ = pki.HashByOID(oid) // an unknown one only makes its hashes useless
	for rest := set.Value; len(rest) > 0; {
		var t ber.TLV
		if t, rest, err = ber.Take(rest, ber.Sequence); err != nil {
			return nil, err
		}
		e, err := parseEntry(t.Value)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", len(l.Entries)+1, err)
		}
		if l.Entries = append(l.Entries, e); len(l.Entries) > maxEntries {
			return nil, errors.New("too many entries")
		}
	}
	return l, nil
}

// parseEntry reads Defect. In version 2 the identifier may be absent where
// the hash is given.
func parseEntry(body []byte) (Entry, error) {
	parts, err := ber.Children(body)
	if err != nil {
		return Entry{}, err
	}
	var e Entry
	named, listed := false, false
	for _, p := range parts {
		switch {
		case !named && !listed && e.Hash == nil && (p.Tag == ber.Sequence || p.Tag == 0x80):
			if e.Signer, err = pki.ParseSignerID(p.Raw); err != nil {
				return Entry{}, err
			}
			named = true
		case e.Hash == nil && !listed && p.Tag == ber.OctetString && len(p.Value) > 0:
			e.Hash = p.Value
		case !listed && p.Tag == ber.Set:
			if e.Defects, err = parseDefects(p.Value); err != nil {
				return Entry{}, err
			}
			listed = true
		case listed && p.Tag == ber.UTF8String: // text for people
		default:
			return Entry{}, fmt.Errorf("element %X has no place there", p.Tag)
		}
	}
	if !listed || !named && e.Hash == nil {
		return Entry{}, errors.New("names no certificate or no defect")
	}
	return e, nil
}

func parseDefects(set []byte) ([]Defect, error) {
	var out []Defect
	for len(set) > 0 {
		t, rest, err := ber.Next(set)
		if err != nil {
			return nil, err
		}
		set = rest
		if len(out) == maxDefects {
			return nil, errors.New("too many defects")
		}
		d, err := parseDefect(t)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// parseDefect reads VersionedKnownDefect. In version 2, tag A0, the parameters
// stand under a tag of their own.
func parseDefect(t ber.TLV) (Defect, error) {
	if t.Tag != ber.Sequence && t.Tag != 0xA0 {
		return Defect{}, fmt.Errorf("element %X where a defect was expected", t.Tag)
	}
	body := t.Value
	if inner, err := ber.One(body); err == nil && t.Tag == 0xA0 && inner.Tag == ber.Sequence {
		body = inner.Value // the tag is explicit: the module does not say which
	}
	kind, rest, err := ber.Take(body, ber.OID)
	if err != nil {
		return Defect{}, err
	}
	d := Defect{Status: NoStatus}
	if d.OID, err = pki.OID(kind.Value); err != nil {
		return Defect{}, err
	}
	d.Kind = kinds[d.OID]
	if d.Kind == Unknown && strings.HasPrefix(d.OID, documentFaults) {
		d.Kind = UnknownDocumentFault
	}
	var params []byte
	if len(rest) > 0 {
		p, _, err := ber.Next(rest)
		if err != nil {
			return Defect{}, err
		}
		switch {
		case t.Tag == ber.Sequence:
			params = p.Raw
		case p.Tag == 0xA0:
			params = p.Value
		}
	}
	if d.parameters(params) != nil {
		d.unreadable()
	}
	return d, nil
}

// unreadable is what remains of a defect whose parameters cannot be read: one
// bad entry must not cost the others. A revocation stands without its reason;
// what needs its parameter has no effect.
func (d *Defect) unreadable() {
	*d = Defect{Kind: d.Kind, OID: d.OID, Status: NoStatus}
	switch d.Kind {
	case Replaced, WrongSigner, IssuingCountry, GroupsMalformed, ProtocolFailure:
		d.Kind = Unknown
	}
}

// parameters reads what the kind of defect comes with.
func (d *Defect) parameters(der []byte) (err error) {
	switch d.Kind {
	case Revoked, ProtocolFailure, ValidityPeriod, SignerMalformed:
		d.Status, err = status(der)
	case ObjectInvalid:
		if der != nil {
			d.Status, err = status(der)
		}
	case Replaced:
		var v []byte
		if v, err = ber.Expect(der, ber.OctetString); err == nil {
			d.Replacement, err = pki.ParseCertificate(v)
		}
	case WrongSigner:
		d.Signer, err = pki.ParseSignerID(der)
	case IssuingCountry:
		var v []byte
		v, err = ber.Expect(der, ber.PrintableString)
		d.Country = strings.ToUpper(string(v))
		if err == nil && len(d.Country) != 2 {
			err = errors.New("no country of two letters")
		}
	case GroupsMalformed:
		d.Groups, err = groups(der)
	}
	return err
}

const enumerated = 0x0A // the tag of ENUMERATED

func status(der []byte) (int, error) {
	v, err := ber.Expect(der, enumerated)
	if err != nil {
		return NoStatus, err
	}
	return small(v)
}

func groups(der []byte) ([]int, error) {
	v, err := ber.Expect(der, ber.Set)
	if err != nil {
		return nil, err
	}
	parts, err := ber.Children(v)
	if err != nil || len(parts) > maxDefects {
		return nil, errors.New("malformed list of data groups")
	}
	var out []int
	for _, p := range parts {
		n, err := small(p.Value)
		if err != nil || p.Tag != ber.Integer {
			return nil, errors.New("malformed number of a data group")
		}
		out = append(out, n)
	}
	return out, nil
}

// small reads the content of a small INTEGER or ENUMERATED.
func small(v []byte) (int, error) {
	if len(v) == 0 || len(v) > 2 || v[0]&0x80 != 0 {
		return 0, errors.New("number out of range")
	}
	n := 0
	for _, b := range v {
		n = n<<8 | int(b)
	}
	return n, nil
}
