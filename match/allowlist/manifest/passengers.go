package manifest

import (
	"errors"
	"regexp"
	"strings"
)

var flightOnly = regexp.MustCompile(`^([A-Z][A-Z0-9]|[0-9][A-Z]|[A-Z]{3})(\d{1,4})([A-Z]?)$`)

// Codes of the WCO/IATA/ICAO implementation guide for PAXLST and of the UN
// code lists that it takes them from.
const (
	messagePassengers = "745" // data element 1001: passenger list
	messageCrew       = "250" // crew list declaration

	placeLast   = "125" // 3227: last place of departure before the border
	placeOn     = "92"  // a place on the way
	placeIssuer = "91"  // where a document was issued
	dateLeaves  = "189" // 2005: scheduled departure
	dateBirth   = "329"
	dateExpiry  = "36"

	partyPassenger = "FL"
	countPersons   = "42" // 6069: passengers
)

// withdrawn are the functions of a message whose passengers no longer fly
// (interactive messages: reservation cancelled, party reduced).
var withdrawn = map[string]bool{"XR": true, "RP": true}

// content reads a segment of a message.
func (p *paxlst) content(s *segment) error {
	m := p.message
	switch s.tag {
	case "BGM":
		return p.bgm(s)
	case "TDT":
		if err := p.endPerson(); err != nil {
			return err
		}
		m.legs = append(m.legs, leg{number: s.get(2, 0), carrier: s.get(5, 0)})
		m.here = &m.legs[len(m.legs)-1]
		if len(m.legs) > maxElements {
			return errors.New("the message has more legs than a journey")
		}
	case "NAD":
		if err := p.endPerson(); err != nil {
			return err
		}
		return p.nad(s)
	case "CNT":
		if s.get(1, 0) != countPersons {
			return nil
		}
		var err error
		m.stated, err = s.count(1, 1)
		return err
	case "LOC":
		p.loc(s)
	case "DTM":
		p.dtm(s)
	case "DOC":
		p.doc(s)
	case "NAT":
		m.spoilt(s, "nationality")
	}
	return nil
}

func (p *paxlst) bgm(s *segment) error {
	p.message.begun = true
	switch s.get(1, 0) {
	case messagePassengers:
		if withdrawn[s.get(2, 0)] {
			return errors.New("the message withdraws passengers (BGM+745+XR or RP): give the list as it is now")
		}
	case messageCrew:
		p.message.crew = true
		p.r.opt.Note(p.at(), "a crew list is left out")
	default:
		return errors.New("BGM calls the message neither a passenger list (745) nor a crew list (250)")
	}
	return nil
}

// spoilt notices bytes outside of the character set.
func (m *paxMessage) spoilt(s *segment, field string) bool {
	if s.bad {
		m.fault(field, "holds a character that the interchange's character set does not have")
	}
	return s.bad
}

// nad begins a person, or names a party of the message.
func (p *paxlst) nad(s *segment) error {
	m := p.message
	party := s.get(1, 0)
	if len(m.legs) == 0 && party != partyPassenger {
		return nil // whom to ask about the message
	}
	if !m.begun {
		return errors.New("the message names people before it says what it is (BGM)")
	}
	m.skip = m.crew || party != partyPassenger
	m.person, m.document = &traveller{at: p.at()}, nil
	if m.skip {
		return nil
	}
	m.count++
	p.st.Travellers++
	t := m.person
	t.surname = s.get(4, 0)
	t.given = strings.TrimSpace(s.get(4, 1) + " " + s.get(4, 2))
	m.spoilt(s, "name")
	d, err := m.flight()
	if err != nil {
		return err
	}
	if m.count == 1 && p.r.opt.elsewhere(d.board) {
		m.elsewhere = true
		p.r.opt.Note(m.at, "a message about a departure from another airport is left out")
	}
	return nil
}

// endPerson gives a passenger to the sink when the next begins.
func (p *paxlst) endPerson() error {
	m := p.message
	t := m.person
	m.person, m.document = nil, nil
	if t == nil || m.skip || m.elsewhere {
		return nil
	}
	return p.r.emit(*m.departure, t)
}

// loc reads a place: of the leg, or where a document was issued.
func (p *paxlst) loc(s *segment) {
	m, place := p.message, s.get(2, 0)
	switch code := s.get(1, 0); {
	case m.document != nil:
		if code == placeIssuer && !m.spoilt(s, "issuer") {
			m.document.issuer = place
		}
	case m.person != nil || m.here == nil:
	case code == placeLast || code == placeOn && m.here.from == "":
		m.here.from, m.here.lastFrom = place, code == placeLast
	}
}

// dtm reads a date: of the leg, a birth, or the expiry of a document.
func (p *paxlst) dtm(s *segment) {
	m, now := p.message, p.r.opt.Now
	value, format := s.get(1, 1), s.get(1, 2)
	switch code := s.get(1, 0); {
	case m.document != nil && code == dateExpiry:
		if _, _, ok := messageTime(value, format, future, now); !ok {
			m.fault("expiry", "is no possible date")
		}
	case m.person != nil && m.document == nil && code == dateBirth:
		birth, _, ok := messageTime(value, format, past, now)
		if !ok {
			m.fault("birth", "is no possible date of the past")
			return
		}
		m.person.birth = birth
	case m.person == nil && m.here != nil && code == dateLeaves && !m.here.known:
		m.here.leaves, m.here.timed, m.here.known = messageTime(value, format, future, now)
	}
}

// docTypes are the codes of data element 1001 for travel documents that are
// not those of a machine readable zone.
var docTypes = map[string]string{"39": "P", "36": "I"}

// doc begins a document. A visa is none to travel with.
func (p *paxlst) doc(s *segment) {
	m := p.message
	m.document = nil
	if m.person == nil || m.spoilt(s, "number") {
		return
	}
	kind := s.get(1, 0)
	if known := docTypes[kind]; known != "" {
		kind = known
	}
	if kind == "V" {
		m.document = &document{} // what follows belongs to it
		return
	}
	m.person.documents = append(m.person.documents, document{kind: kind, number: s.get(2, 0), at: p.at()})
	m.document = &m.person.documents[len(m.person.documents)-1]
	if len(m.person.documents) > maxDocuments {
		m.fault("document", "is one of more than anybody has")
		m.person.documents = m.person.documents[:maxDocuments]
	}
}

// maxDocuments of one person.
const maxDocuments = 16
