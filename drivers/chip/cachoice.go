package chip

import (
	"errors"
	"fmt"

	"gateagent/internal/ber"
)

// caChoice is one way of chip authentication: a key of the chip and the suite
// that goes with it.
type caChoice struct {
	oid    []byte // protocol as encoded
	suite  suite
	domain domain
	key    []byte // the chip's public key
	id     []byte // key identifier as sent; nil when there is none
}

// String names the protocol.
func (c *caChoice) String() string {
	return fmt.Sprintf("CA-%s-%s %s", c.domain.kind(), c.suite, c.domain.name())
}

func (c *caChoice) strength() int { return min(c.domain.strength(), c.suite.strength()) }

// better orders choices: security first, then the stronger cipher, then
// curves, whose arithmetic takes a chip less time. Of equals the first stays.
func (c *caChoice) better(d *caChoice) bool {
	switch {
	case d == nil || c.strength() != d.strength():
		return d == nil || c.strength() > d.strength()
	case c.suite != d.suite:
		return c.suite > d.suite
	}
	return c.domain.curve != nil && d.domain.curve == nil
}

var (
	errNoCA      = errors.New("DG14 announces no chip authentication")
	errCAUnknown = errors.New("chip authentication is announced with algorithms that we do not have")
)

// noID stands for an info without key identifier.
const noID = -1

// chipKey is one ChipAuthenticationPublicKeyInfo (ICAO 9303-11 section 9.2.6)
// whose key we can use.
type chipKey struct {
	domain domain
	public []byte
	id     int // noID where it has none
}

// caProtocol is one ChipAuthenticationInfo (section 9.2.5).
type caProtocol struct {
	oid   []byte
	modp  bool
	suite suite // 0: none that we know
	id    int   // noID where it has none
}

// caInfos collects what SecurityInfos say about chip authentication.
type caInfos struct {
	keys      []chipKey
	protocols []caProtocol
	count     int // of the keys that are stated, usable or not
}

// maxKeys bounds how many keys a file may state: each of them is proven to
// belong to its domain, which takes time.
const maxKeys = 8

// Arcs of id-PK and id-CA (section 9.2.7).
const (
	arcDH   = 1
	arcECDH = 2
)

// readCAInfos collects the infos about chip authentication.
func readCAInfos(content []byte) (*caInfos, error) {
	infos, err := parseInfos(content)
	if err != nil {
		return nil, err
	}
	all := &caInfos{}
	for _, i := range infos {
		if err := all.add(i); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (a *caInfos) add(i info) error {
	key, protocol := under(i.oid, oidCAKey, 1), under(i.oid, oidCA, 2)
	if key == nil && protocol == nil {
		return nil
	}
	n, err := i.integer()
	if err != nil {
		return err
	}
	id := noID
	if n != nil {
		id = *n
	}
	if key != nil {
		if a.count++; a.count > maxKeys {
			return errInfo
		}
		d, public, err := parsePublicKey(i.required)
		if err != nil {
			return err
		}
		if d.known() && (d.group != nil) == (key[0] == arcDH) {
			a.keys = append(a.keys, chipKey{d, public, id})
		}
		return nil
	}
	version, ok := smallInt(i.required)
	if !ok {
		return errInfo
	}
	p := caProtocol{oid: i.oid, modp: protocol[0] == arcDH, id: id}
	if u := suite(protocol[1]); version == 1 && u.valid() && (protocol[0] == arcDH || protocol[0] == arcECDH) {
		p.suite = u
	}
	a.protocols = append(a.protocols, p)
	return nil
}

// of gives the protocols of a key. Infos belong together by their identifier;
// where one of them has none it goes with the only key (section 9.2.5: the
// identifier must be used if there are several keys). A document that states
// no protocol at all is of the first generation, which knew 3DES alone (BSI
// TR-03110-3 appendix A.1.1.2: the protocol info is optional there).
func (a *caInfos) of(k chipKey) []caProtocol {
	modp := k.domain.group != nil
	if len(a.protocols) == 0 {
		arc := byte(arcECDH)
		if modp {
			arc = arcDH
		}
		oid := append(append([]byte(nil), oidCA...), arc, byte(suite3DES))
		return []caProtocol{{oid: oid, modp: modp, suite: suite3DES, id: k.id}}
	}
	var out []caProtocol
	for _, p := range a.protocols {
		together := p.id == k.id || a.count == 1 && (p.id == noID || k.id == noID)
		if together && p.suite != 0 && p.modp == modp {
			out = append(out, p)
		}
	}
	return out
}

// chooseCA reads DG14 and picks the strongest pair of key and protocol.
func chooseCA(dg14 []byte) (*caChoice, error) {
	content, err := ber.Expect(dg14, 0x6E)
	if err != nil {
		return nil, err
	}
	all, err := readCAInfos(content)
	if err != nil {
		return nil, err
	}
	if all.count == 0 && len(all.protocols) == 0 {
		return nil, errNoCA
	}
	var best *caChoice
	for _, k := range all.keys {
		for _, p := range all.of(k) {
			c := &caChoice{oid: p.oid, suite: p.suite, domain: k.domain, key: k.public}
			if k.id != noID {
				c.id = intBytes(k.id)
			}
			if c.better(best) {
				best = c
			}
		}
	}
	if best == nil {
		return nil, errCAUnknown
	}
	return best, nil
}

func intBytes(n int) []byte {
	b := []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return b
}
