package chip

import (
	"fmt"

	"gateagent/internal/ber"
)

// mapping is how PACE turns the nonce into a generator. Its order is that of
// preference where all else is equal.
type mapping byte

const (
	// mapIM is the integrated mapping.
	mapIM mapping = 1 + iota
	// mapGM is the generic mapping, the one that every chip maker tests most.
	mapGM
	// mapCAM is the generic mapping and a proof of the chip: what PACE has to
	// compute anyway then saves chip authentication, two commands and a key
	// agreement of the chip.
	mapCAM
)

// paceArc is what the arc before the last of a protocol's object identifier
// says (ICAO 9303-11 section 9.2.3).
type paceArc struct {
	mapping mapping
	modp    bool
}

func paceArcs(arc byte) (paceArc, bool) {
	a, ok := map[byte]paceArc{1: {mapGM, true}, 2: {mapGM, false}, 3: {mapIM, true}, 4: {mapIM, false}, 6: {mapCAM, false}}[arc]
	return a, ok
}

// paceChoice is one way of PACE that both sides know.
type paceChoice struct {
	oid     []byte // protocol as encoded
	mapping mapping
	suite   suite
	domain  domain
	id      int  // domain parameter number as the chip states it
	several bool // the chip states more than one set of domain parameters
}

// String names the protocol as the inspection report does.
func (p *paceChoice) String() string {
	m := [...]string{mapIM: "IM", mapGM: "GM", mapCAM: "CAM"}[p.mapping]
	return fmt.Sprintf("PACE-%s-%s-%s %s", p.domain.kind(), m, p.suite, p.domain.name())
}

// strength is the security in bits, limited by domain and cipher.
func (p *paceChoice) strength() int { return min(p.domain.strength(), p.suite.strength()) }

// better orders choices: security first, then the stronger cipher, then the
// mapping, then curves, whose arithmetic takes a chip less time.
func (p *paceChoice) better(q *paceChoice) bool {
	switch {
	case q == nil || p.strength() != q.strength():
		return q == nil || p.strength() > q.strength()
	case p.suite != q.suite:
		return p.suite > q.suite
	case p.mapping != q.mapping:
		return p.mapping > q.mapping
	}
	return p.domain.curve != nil && q.domain.curve == nil
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
	ids := map[int]bool{} // of all that is offered: it decides what is ambiguous to the chip
	for _, i := range infos {
		arcs := under(i.oid, oidPACE, 2)
		if arcs == nil {
			continue
		}
		offered = true
		p, err := paceInfo(i, arcs)
		if err != nil {
			return nil, true, err
		}
		ids[p.id] = true
		if p.resolve(arcs[0], own) && p.better(best) {
			best = p
		}
	}
	if best != nil {
		best.several = len(ids) > 1
	}
	return best, offered, nil
}

// paceInfo reads one PACEInfo (section 9.2.1), whose domain is yet unknown.
func paceInfo(i info, arcs []byte) (*paceChoice, error) {
	version, ok := smallInt(i.required)
	if !ok {
		return nil, errInfo
	}
	id, err := i.integer()
	if err != nil {
		return nil, err
	}
	p := &paceChoice{oid: i.oid, suite: suite(arcs[1]), id: -1}
	if id != nil {
		p.id = *id
	}
	if version != 2 {
		p.suite = 0
	}
	return p, nil
}

// resolve looks up mapping and domain parameters; false when we cannot do it.
// There is no chip authentication mapping with 3DES (section 4.4.3 note 1).
func (p *paceChoice) resolve(arc byte, own map[ownID]domain) bool {
	a, ok := paceArcs(arc)
	if !ok || !p.suite.valid() || a.mapping == mapCAM && p.suite == suite3DES {
		return false
	}
	p.mapping = a.mapping
	if p.domain, ok = own[ownID{a.modp, p.id}]; !ok {
		p.domain = standardDomain(p.id)
	}
	return p.domain.known() && (p.domain.group != nil) == a.modp && (p.mapping != mapIM || canIntegrate(p.domain))
}

// ownID is how a PACEDomainParameterInfo is found: by kind and number, -1
// where it has none.
type ownID struct {
	modp bool
	id   int
}

// ownParameters collects the PACEDomainParameterInfo entries (section 9.2.2):
// domain parameters that the chip numbers itself, or not at all. They are not
// signed, and parameters of the sender's choice would give the password away:
// only those of named curves and groups count.
func ownParameters(infos []info) (map[ownID]domain, error) {
	own := map[ownID]domain{}
	for _, i := range infos {
		arcs := under(i.oid, oidPACE, 1)
		if arcs == nil {
			continue
		}
		id, err := i.integer()
		if err != nil || i.required.Tag != ber.Sequence {
			return nil, errInfo
		}
		d, err := parseDomain(i.required.Value, true)
		if err != nil {
			return nil, err
		}
		a, ok := paceArcs(arcs[0])
		switch {
		case !ok || !d.known():
		case id == nil:
			own[ownID{a.modp, -1}] = d
		case !standardDomain(*id).known():
			own[ownID{a.modp, *id}] = d
		}
	}
	return own, nil
}
