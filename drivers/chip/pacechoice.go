package chip

import (
	"fmt"

	"gateagent/internal/ber"
	"gateagent/internal/ec"
)

// mapping is how PACE turns the nonce into a generator.
type mapping byte

const (
	mapGM  mapping = 2 // generic mapping over ECDH
	mapIM  mapping = 4 // integrated mapping over ECDH
	mapCAM mapping = 6 // chip authentication mapping: generic, plus a proof
)

// paceChoice is one way of PACE that both sides know.
type paceChoice struct {
	oid     []byte // protocol as encoded
	mapping mapping
	suite   suite
	curve   *ec.Curve
	id      int  // domain parameter number as the chip states it
	several bool // the chip states more than one set of domain parameters
}

// String names the protocol as the inspection report does.
func (p *paceChoice) String() string {
	m := map[mapping]string{mapGM: "GM", mapIM: "IM", mapCAM: "CAM"}[p.mapping]
	return fmt.Sprintf("PACE-ECDH-%s-%s %s", m, p.suite, p.curve.Name)
}

// strength is the security in bits, limited by curve and cipher.
func (p *paceChoice) strength() int { return min(p.curve.N.BitLen()/2, p.suite.strength()) }

// better orders choices: security first, then the stronger cipher, then the
// plain generic mapping, which does no work that we do not use.
func (p *paceChoice) better(q *paceChoice) bool {
	switch {
	case q == nil || p.strength() != q.strength():
		return q == nil || p.strength() > q.strength()
	case p.suite != q.suite:
		return p.suite > q.suite
	}
	return p.mapping < q.mapping
}

// choosePACE reads EF.CardAccess (ICAO 9303-11 section 9.2.11): the strongest
// PACE that we know, and whether the chip offers PACE at all.
func choosePACE(cardAccess []byte) (best *paceChoice, offered bool, err error) {
	infos, err := parseInfos(cardAccess)
	if err != nil {
		return nil, false, err
	}
	own, err := ownParameters(infos)
	if err != nil {
		return nil, false, err
	}
	ids := map[int]bool{}
	for _, i := range infos {
		arcs := under(i.oid, oidPACE, 2)
		if arcs == nil {
			continue
		}
		offered = true
		p, err := paceInfo(i, arcs, own)
		if err != nil {
			return nil, true, err
		}
		if p == nil {
			continue
		}
		ids[p.id] = true
		if p.better(best) {
			best = p
		}
	}
	if best != nil {
		best.several = len(ids) > 1
	}
	return best, offered, nil
}

// paceInfo reads one PACEInfo (section 9.2.1); nil when we cannot do it.
func paceInfo(i info, arcs []byte, own map[int]*ec.Curve) (*paceChoice, error) {
	version, ok := smallInt(i.required)
	if !ok {
		return nil, errInfo
	}
	id, err := i.integer()
	if err != nil {
		return nil, err
	}
	p := &paceChoice{oid: i.oid, mapping: mapping(arcs[0]), suite: suite(arcs[1]), id: -1}
	if version != 2 || !p.suite.valid() || (p.mapping != mapGM && p.mapping != mapIM && p.mapping != mapCAM) {
		return nil, nil
	}
	if id != nil {
		p.id = *id
	}
	p.curve = own[p.id]
	if p.curve == nil {
		p.curve, _ = ec.ByID(p.id)
	}
	if p.curve == nil || p.mapping == mapIM && !canIntegrate(p.curve) {
		return nil, nil
	}
	return p, nil
}

// ownParameters collects the PACEDomainParameterInfo entries (section 9.2.2):
// domain parameters that the chip numbers itself, or not at all (-1). Only
// those of named curves count.
func ownParameters(infos []info) (map[int]*ec.Curve, error) {
	own := map[int]*ec.Curve{}
	for _, i := range infos {
		if under(i.oid, oidPACE, 1) == nil {
			continue
		}
		id, err := i.integer()
		if err != nil || i.required.Tag != ber.Sequence {
			return nil, errInfo
		}
		c, err := parseCurve(i.required.Value)
		if err != nil {
			return nil, err
		}
		if c == nil {
			continue
		}
		if id == nil {
			own[-1] = c
		} else if _, standard := ec.ByID(*id); !standard {
			own[*id] = c
		}
	}
	return own, nil
}
