package manifest

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// name is a name element: one or more travellers with one surname, and what the
// elements behind it say.
type name struct {
	section section
	surname string
	people  []*person
	infants []*person
	locator string
	group   string // "A2": all who have it are one booking
	at      int64
}

// person is a traveller of a telegram.
type person struct {
	traveller
	title   string // the given name as the name element has it
	infant  bool
	deleted bool
}

// element is one element behind a name, continuations joined.
type element struct {
	text string // "R/DOCS HK1/P/..."
	at   int64
}

var (
	groupSuffix  = regexp.MustCompile(`-([A-Z]{1,2}\d{1,3})$`)
	elementStart = regexp.MustCompile(` \.[A-Z]{1,4}\d?/`)
	// titles stand behind a given name, with or without a space (RP 1707b, name
	// element).
	titles = []string{"MSTR", "MISS", "PROF", "MRS", "CHD", "INF", "MR", "MS", "DR"}
	// seats are booked for luggage or comfort, not for people.
	seats = map[string]bool{"EXST": true, "CBBG": true, "STCR": true}
)

// name begins a name element. Other elements may follow on its line.
func (t *telegramReader) name(count, text string) {
	t.finishName()
	at := t.base + t.line
	rest := ""
	if i := elementStart.FindStringIndex(text); i != nil {
		text, rest = text[:i[0]], text[i[0]+1:]
	}
	n := &name{section: t.section, at: at}
	if m := groupSuffix.FindStringSubmatch(text); m != nil {
		n.group, text = m[1], strings.TrimSuffix(text, m[0])
	}
	seatsBooked, _ := strconv.Atoi(count)
	given := strings.Split(text, "/")
	n.surname = strings.TrimSpace(given[0])
	for _, g := range given[1:] {
		if g = strings.TrimSpace(g); seats[g] {
			seatsBooked--
			continue
		}
		n.people = append(n.people, &person{title: g, traveller: traveller{surname: n.surname, given: withoutTitle(g), at: at}})
	}
	if len(given) == 1 && seatsBooked == 1 {
		n.people = append(n.people, &person{traveller: traveller{surname: n.surname, at: at}})
	}
	if missing := seatsBooked - len(n.people); missing != 0 && t.section != deleted {
		t.r.sink.Reject(at, "name", "has another number of names than of seats: "+strconv.Itoa(seatsBooked)+" seats, "+strconv.Itoa(len(n.people))+" names")
	}
	if len(t.now.totals) > 0 {
		n := &t.now.totals[len(t.now.totals)-1]
		stated, _ := strconv.Atoi(count)
		n.named += stated
	}
	t.now.names = append(t.now.names, n)
	t.last, t.behind = []element{}, 0
	if rest != "" {
		t.elements(rest)
	}
}

// withoutTitle drops the title behind a given name.
func withoutTitle(given string) string {
	for {
		short := given
		for _, title := range titles {
			if s, ok := strings.CutSuffix(given, title); ok && len(strings.TrimSpace(s)) >= 2 && (title != "MS" && title != "DR" || strings.HasSuffix(s, " ")) {
				short = strings.TrimSpace(s)
				break
			}
		}
		if short == given {
			return given
		}
		given = short
	}
}

// maxBehind bounds the lines behind one name.
const maxBehind = 500

// elements takes a line of elements behind a name. Where several stand on one
// line each begins with a point behind a space.
func (t *telegramReader) elements(line string) {
	if t.last == nil {
		return // behind no name
	}
	if t.behind++; t.behind > maxBehind {
		if t.behind == maxBehind+1 {
			t.r.sink.Reject(t.base+t.line, "element", "is one of more than a name has; it and those behind it are left out")
		}
		return
	}
	for line != "" {
		this := line
		if i := elementStart.FindStringIndex(line); i != nil {
			this, line = line[:i[0]], line[i[0]+1:]
		} else {
			line = ""
		}
		if more, ok := strings.CutPrefix(this, ".RN/"); ok {
			if len(t.last) > 0 {
				t.last[len(t.last)-1].text += more
			}
			continue
		}
		t.last = append(t.last, element{strings.TrimPrefix(this, "."), t.base + t.line})
	}
}

// finishName reads the elements of the last name, when all continuations are
// there.
func (t *telegramReader) finishName() {
	if t.now == nil || len(t.now.names) == 0 || t.last == nil {
		t.last = nil
		return
	}
	n := t.now.names[len(t.now.names)-1]
	for _, e := range t.last {
		id, text, _ := strings.Cut(e.text, "/")
		switch id {
		case "L":
			if loc, _, _ := strings.Cut(text, "/"); n.locator == "" {
				n.locator = loc
			}
		case "R":
			t.remark(n, text, e.at)
		}
	}
	t.last = nil
	n.people = append(n.people, n.infants...)
	n.infants = nil
}

// remark reads a remarks element: code, status, then fields.
func (t *telegramReader) remark(n *name, text string, at int64) {
	head, fields, ok := strings.Cut(text, "/")
	words := strings.Fields(head)
	if len(words) == 0 || n.section == deleted {
		return
	}
	switch words[0] {
	case "DOCS":
		if ok && confirmed(words) {
			t.docs(n, fields, at)
		}
	case "INFT", "CHLD":
		if confirmed(words) {
			t.birth(n, words[0], strings.TrimPrefix(text, words[0]), at)
		}
	}
}

// refused are the status codes of a service that is not confirmed (AIRIMP
// section 3): what it says was never in force.
var refused = []string{"NO", "UC", "UN", "UU", "XX", "HX", "XK", "XL"}

// confirmed looks at the status behind a remark's code, perhaps behind the
// airline: "DOCS HK1", "DOCS VN HK1".
func confirmed(words []string) bool {
	for _, w := range words[1:] {
		for _, status := range refused {
			if rest, ok := strings.CutPrefix(w, status); ok && digits(rest) {
				return false
			}
		}
	}
	return true
}

// Fields of DOCS behind its status (RP 1707b, passenger travel document
// information): 0 type, 1 issuing state, 2 number, 3 nationality, 4 birth,
// 5 sex, 6 expiry, 7 surname, 8 given name, 9 second given name or H.
const docsFields = 7

var nameAssociation = regexp.MustCompile(`-(\d{1,2})(\pL[^/]*/.*)$`)

// docs gives a travel document to the traveller it belongs to.
func (t *telegramReader) docs(n *name, text string, at int64) {
	forName := ""
	if m := nameAssociation.FindStringSubmatch(text); m != nil {
		forName, text = m[2], strings.TrimSuffix(text, m[0])
	}
	f := strings.Split(text, "/")
	if len(f) < docsFields {
		t.r.sink.Reject(at, "DOCS", "has fewer fields than a document takes")
		return
	}
	f = append(f, "", "", "")
	for i := range f {
		f[i] = strings.TrimSpace(f[i])
	}
	p := n.find(forName, f[7], f[8], strings.HasSuffix(f[5], "I"))
	if p == nil {
		t.r.sink.Reject(at, "DOCS", "fits none of the travellers of its name element")
		return
	}
	birth, ok := t.day(p, "birth", f[4], past)
	if _, fine := t.day(p, "expiry", f[6], future); !ok || !fine || f[0] == "V" {
		return // a visa is no travel document
	}
	if !birth.IsZero() {
		p.birth = birth
	}
	if f[7] != "" { // the names of the document carry no titles
		p.surname, p.given = f[7], f[8]
		if f[9] != "" && f[9] != "H" {
			p.given += " " + f[9]
		}
	}
	if len(p.documents) == maxDocuments {
		p.fault = fault("document", "is one of more than anybody has")
		return
	}
	p.documents = append(p.documents, document{kind: f[0], issuer: f[1], number: f[2], at: at})
}

// day reads a date that may be absent; an impossible one makes the traveller
// untakeable.
func (t *telegramReader) day(p *person, field, s string, c century) (time.Time, bool) {
	if s == "" {
		return time.Time{}, true
	}
	day, ok := telegramDate(s, c, t.r.opt.Now)
	if !ok {
		p.fault = fault(field, "is no possible date like 15AUG80")
	}
	return day, ok
}

// find gives the traveller that a document is for; infants come into being
// with their document.
func (n *name) find(forName, surname, given string, infant bool) *person {
	if infant {
		return n.infant(surname, given)
	}
	if forName != "" {
		first, last, _ := strings.Cut(forName, "/")
		if !same(n.surname, first) {
			return nil
		}
		return cmp.Or(n.titled(func(p *person) bool { return same(p.title, last) }),
			n.titled(func(p *person) bool { return same(withoutTitle(p.title), withoutTitle(last)) }))
	}
	if len(n.people) == 1 {
		return n.people[0]
	}
	for _, p := range n.people {
		if same(p.surname, surname) && same(p.given, given) {
			return p
		}
	}
	return nil
}

// titled gives the first traveller whose name fits.
func (n *name) titled(fits func(*person) bool) *person {
	if i := slices.IndexFunc(n.people, fits); i >= 0 {
		return n.people[i]
	}
	return nil
}

// same compares names by their letters.
func same(a, b string) bool { return letters(a) == letters(b) }

func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\'' {
			return -1
		}
		return r
	}, strings.ToUpper(s))
}

// birth reads what an infant's or child's remark says: "HK1 22AUG19 SURNAME/GIVEN"
// or, for a child, the date alone.
func (t *telegramReader) birth(n *name, code, text string, at int64) {
	var day time.Time
	who := ""
	for i, word := range strings.Fields(strings.ReplaceAll(text, "/", " / ")) {
		if d, ok := telegramDate(word, past, t.r.opt.Now); ok && day.IsZero() {
			day = d
			_, who, _ = strings.Cut(text, word)
		} else if i > 6 {
			break
		}
	}
	if m := nameAssociation.FindStringSubmatch(who); m != nil {
		who = strings.TrimSuffix(who, m[0])
	}
	who = strings.Trim(who, " /")
	switch surname, given, named := strings.Cut(who, "/"); {
	case day.IsZero():
		return
	case code == "CHLD" && len(n.people) == 1 && n.people[0].birth.IsZero():
		n.people[0].birth = day
	case code == "INFT" && named:
		p := n.infant(surname, withoutTitle(given))
		p.birth, p.at = day, at
	}
}

// infant finds or makes an infant: its document may stand before or behind.
func (n *name) infant(surname, given string) *person {
	for _, p := range n.infants {
		if same(p.surname, surname) && same(p.given, given) {
			return p
		}
	}
	p := &person{infant: true, traveller: traveller{surname: surname, given: given, at: n.at}}
	n.infants = append(n.infants, p)
	return p
}
