package bench

import (
	"crypto"
	"fmt"
	"time"

	"gateagent/internal/ber"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// Profile is one kind of document in the yardstick.
type Profile struct {
	Name string
	// CAN opens the chip by its card access number, else by the MRZ.
	CAN bool
	// Wide: a curve of more than 384 bits takes part.
	Wide bool
	// Unproven: the chip offers no proof, so the verdict is undetermined.
	Unproven bool

	make  func(*doc.World) (*doc.Document, error)
	model chip.Model
	floor func(*list)
	chunk int
	short bool // no commands of extended length
	alter func(*chip.Config)
}

// BitRates of ISO/IEC 14443, in kbit/s.
func BitRates() []int { return []int{106, 424, 848} }

// Entry is a profile with its document.
type Entry struct {
	Profile
	Document *doc.Document
}

// Make makes the document of a profile.
func (p Profile) Make(w *doc.World) (Entry, error) {
	d, err := p.make(w)
	if err != nil {
		return Entry{}, fmt.Errorf("bench profile %s: %w", p.Name, err)
	}
	return Entry{p, d}, nil
}

// Model is the timing of the chip at a bit rate.
func (p Profile) Model(rate int) chip.Model {
	m := p.model
	m.BitRate = rate
	return m
}

// Chip is the configuration of the chip at a bit rate.
func (e Entry) Chip(rate int) chip.Config {
	c := e.Document.ChipConfig()
	c.Model = e.Model(rate)
	if e.alter != nil {
		e.alter(&c)
	}
	return c
}

// Commands is the list of the profile. Nothing of it depends on a reader.
func (e Entry) Commands() Floor {
	l := &list{doc: e.Document, model: e.model, chunk: e.chunk, short: e.short}
	e.floor(l)
	return l.out
}

// Floor is the least time at a bit rate.
func (e Entry) Floor(rate int) time.Duration { return e.Commands().Time(e.Model(rate)) }

func card(opts ...doc.Option) func(*doc.World) (*doc.Document, error) {
	return func(w *doc.World) (*doc.Document, error) { return w.VietnamID(w.Citizen(0), opts...) }
}

func passport(opts ...doc.Option) func(*doc.World) (*doc.Document, error) {
	return func(w *doc.World) (*doc.Document, error) { return w.Passport(w.Foreigner(0), opts...) }
}

// Lengths of public values: uncompressed points, and the integers of RFC 5114
// section 2.3.
const (
	p256, p384, p512, p521 = 1 + 2*32, 1 + 2*48, 1 + 2*64, 1 + 2*66
	dh2048                 = 256
)

// Lengths of reads: what a short answer holds with AES and 3DES, what most
// chips here state, and what a chip that states 7FFF is asked for, with room
// for secure messaging.
const shortAES, shortDES, some, whole = 223, 231, 4096, 0x7EFF

// chipAuthCase is what a passport or card with PACE and chip authentication
// needs; size is that of its public values.
func chipAuthCase(size int) func(*list) {
	return func(l *list) {
		l.cardAccess()
		l.pace(size)
		l.afterPACE(size)
	}
}

func (l *list) afterPACE(size int) {
	l.application()
	l.securityObject()
	l.groups(14)
	l.chipAuth(size)
	l.groups(1, 2)
}

func integratedCase(l *list) {
	l.cardAccess()
	l.integrated(p521, 32)
	l.afterPACE(p521)
}

func mappedCase(l *list) {
	l.cardAccess()
	l.mapped(p256, 32)
	l.application()
	l.securityObject()
	l.groups(1, 2)
}

// activeAuthCase is what a passport with BAC and active authentication needs;
// n is the length of the answer.
func activeAuthCase(n int) func(*list) {
	return func(l *list) {
		l.cardAccess()
		l.bac()
		l.securityObject()
		l.groups(15)
		l.activeAuth(n)
		l.groups(1, 2)
	}
}

func bacCase(l *list) {
	l.cardAccess()
	l.bac()
	l.securityObject()
	l.groups(1, 2)
}

func strong(c chip.Cipher, curve string) []doc.Option {
	return []doc.Option{doc.PACEWith(c, curve), doc.ChipAuthWith(doc.ChipAuth{Cipher: c, Curve: curve})}
}

func quirks(q chip.Quirks) doc.Option { return doc.WithQuirks(q) }

// Profiles are the documents of the yardstick.
func Profiles() []Profile {
	m := chip.Typical()
	rsa := func(bits int) doc.Option {
		return func(f *doc.Profile) {
			doc.OnlyBAC()(f)
			f.ActiveAuth = doc.Algorithm{RSA: bits, Hash: crypto.SHA256}
		}
	}
	usual := chipAuthCase(p256)
	return []Profile{
		{Name: "vnm-card", CAN: true, make: card(), model: m, floor: usual, chunk: some},
		{Name: "eu-passport", make: passport(), model: m, floor: usual, chunk: some},
		{Name: "can-only", CAN: true, model: m, floor: usual, chunk: some,
			make: func(w *doc.World) (*doc.Document, error) { return w.Card(w.Foreigner(0)) }},
		{Name: "bac-aa-1024", make: passport(rsa(1024)), model: m, floor: activeAuthCase(128), chunk: some},
		{Name: "bac-aa-2048", make: passport(rsa(2048)), model: m, floor: activeAuthCase(256), chunk: some},
		{Name: "bac-only", make: passport(doc.OnlyBAC()), model: m, floor: bacCase, chunk: some, Unproven: true},
		{Name: "bac-short", make: passport(doc.OnlyBAC(), quirks(chip.Quirks{NoExtended: true})), model: m,
			floor: bacCase, chunk: shortDES, short: true, Unproven: true},
		{Name: "chunk-223", make: passport(quirks(chip.Quirks{MaxRead: shortAES})), model: m, floor: usual, chunk: shortAES},
		{Name: "chunk-192-exact", make: passport(quirks(chip.Quirks{MaxRead: 192, TooLongStatus: 0x6C00})), model: m, floor: usual, chunk: 192},
		{Name: "no-extended", make: passport(quirks(chip.Quirks{NoExtended: true})), model: m, floor: usual, chunk: shortAES, short: true},
		{Name: "refuses-plain", model: m, floor: usual, chunk: 1024,
			make: passport(quirks(chip.Quirks{MaxRead: 1024, TooLongPlain: true, TooLongStatus: 0x6700}), withoutATRInfo)},
		{Name: "loses-session", model: m, floor: usual, chunk: 1024,
			make: passport(quirks(chip.Quirks{MaxRead: 1024, TooLongLoses: true, TooLongStatus: 0x6700}), withoutATRInfo)},
		{Name: "long-reads", make: passport(quirks(chip.Quirks{})), model: m, floor: usual, chunk: whole, alter: longReads},
		{Name: "slow-chip", CAN: true, make: card(), model: chip.Slow(), floor: usual, chunk: some},
		{Name: "p384", make: passport(strong(chip.AES256, "P-384")...), model: m, floor: chipAuthCase(p384), chunk: some},
		{Name: "p521", make: passport(strong(chip.AES256, "P-521")...), model: m, floor: chipAuthCase(p521), chunk: some, Wide: true},
		{Name: "brainpool512", make: passport(strong(chip.AES256, "brainpoolP512r1")...), model: m,
			floor: chipAuthCase(p512), chunk: some, Wide: true},
		{Name: "integrated-p521", model: m, floor: integratedCase, chunk: some, Wide: true, make: passport(
			doc.PACEOffers(doc.PACE{Cipher: chip.AES256, Curve: "P-521", Mapping: chip.IntegratedMapping}),
			doc.ChipAuthWith(doc.ChipAuth{Cipher: chip.AES256, Curve: "P-521"}))},
		{Name: "mapping", model: m, floor: mappedCase, chunk: some, make: passport(
			doc.PACEOffers(doc.PACE{Cipher: chip.AES128, Curve: "brainpoolP256r1", Mapping: chip.ChipAuthMapping}), doc.ChipAuthWith())},
		{Name: "dh-2048", model: m, floor: chipAuthCase(dh2048), chunk: some, make: passport(
			doc.PACEOffers(doc.PACE{Cipher: chip.AES128, Group: 2}), doc.ChipAuthWith(doc.ChipAuth{Cipher: chip.AES128, Group: 2}))},
		{Name: "dg2-40k", make: passport(doc.PortraitSize(40000)), model: m, floor: usual, chunk: some},
	}
}

// longReads has EF.ATR/INFO state 7FFF bytes for command and answer (ISO/IEC
// 7816-4 section 12.7.1).
func longReads(c *chip.Config) {
	size := ber.Make(ber.Integer, []byte{0x7F, 0xFF})
	c.MasterFiles[chip.FileATRInfo] = append(ber.Make(0x47, []byte{0xC8, 0x21, 0xE0}), ber.Make(0x7F66, size, size)...)
}

func withoutATRInfo(f *doc.Profile) { f.NoATRInfo = true }
