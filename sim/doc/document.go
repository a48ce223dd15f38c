package doc

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"gateagent/internal/ber"
	"gateagent/sim/chip"
)

// Document is one finished document: its files and the chip they are in.
type Document struct {
	Person  Person
	Profile Profile
	lines   []string
	groups  map[int][]byte // as signed
	card    chip.Config
}

// MRZLines gives the two or three lines as printed.
func (d *Document) MRZLines() []string { return append([]string(nil), d.lines...) }

// MRZ gives the lines joined by newlines.
func (d *Document) MRZ() string { return strings.Join(d.lines, "\n") }

// MRZInfo gives the MRZ information that opens the chip.
func (d *Document) MRZInfo() []byte { return mrzInfo(&d.Profile, d.lines) }

// CAN gives the card access number.
func (d *Document) CAN() string { return d.Profile.CAN }

// Number gives the complete number: Vietnam's twelve digits, else the
// document number.
func (d *Document) Number() string { return d.Profile.fullNumber() }

// QR gives the text of the QR code on Vietnam's card.
func (d *Document) QR() string {
	f := &d.Profile
	return strings.Join([]string{
		f.fullNumber(), f.OldNumber, d.Person.Name(), d.Person.Birth.Format("02012006"),
		sexWord(d.Person.Sex), f.Address, f.Issued.Format("02012006"),
	}, "|")
}

// ChipConfig gives the chip of the document. The caller may change all of it
// (model, seed, fault hook, other files), except the bytes of the files, which
// are shared.
func (d *Document) ChipConfig() chip.Config {
	c := d.card
	c.Files, c.MasterFiles = maps.Clone(c.Files), maps.Clone(c.MasterFiles)
	c.PACE, c.ChipKeys = slices.Clone(c.PACE), slices.Clone(c.ChipKeys)
	return c
}

// File gives a file of the application as the chip serves it, by identifier;
// nil when it has none.
func (d *Document) File(id uint16) []byte { return d.card.Files[id] }

// CardAccess gives EF.CardAccess; nil when the chip has none.
func (d *Document) CardAccess() []byte { return d.card.MasterFiles[chip.FileCardAccess] }

// CardSecurity gives EF.CardSecurity; nil when the chip has none.
func (d *Document) CardSecurity() []byte { return d.card.MasterFiles[chip.FileCardSecurity] }

// builder gathers what one document needs while it is made.
type builder struct {
	person Person
	f      *Profile
	random io.Reader
	signer *Signer
	other  *Signer // of another country
	doc    *Document
	infos  [][]byte // SecurityInfos of DG14
	access [][]byte // SecurityInfos of EF.CardAccess
	secure [][]byte // SecurityInfos of EF.CardSecurity beside those of EF.CardAccess
}

func build(p Person, f Profile, random io.Reader, signer, other *Signer) (*Document, error) {
	b := &builder{person: p, f: &f, random: random, signer: signer, other: other, doc: &Document{Person: p, groups: map[int][]byte{}}}
	lines, err := mrzLines(p, &f)
	if err != nil {
		return nil, err
	}
	b.doc.lines = lines
	b.doc.card = chip.Config{
		Files: map[uint16][]byte{}, MasterFiles: map[uint16][]byte{},
		CAN: f.CAN, MRZInfo: mrzInfo(&f, lines), BAC: f.BAC, Quirks: f.Quirks,
	}
	for _, step := range []func() error{b.openings, b.chipAuth, b.mappingKeys, b.activeAuth, b.content, b.sign, b.alter} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	b.doc.Profile = f
	return b.doc, nil
}

// content writes the data groups, EF.CardAccess and EF.ATR/INFO.
func (b *builder) content() error {
	for _, n := range append(append([]int(nil), b.f.Groups...), b.f.Hidden...) {
		raw, err := b.group(n)
		if err != nil {
			return err
		}
		b.doc.groups[n] = raw
	}
	if len(b.infos) > 0 {
		b.doc.groups[14] = ber.Make(0x6E, set(b.infos...))
	}
	card := &b.doc.card
	if len(card.PACE) > 0 {
		card.MasterFiles[chip.FileCardAccess] = set(b.access...)
	}
	if !b.f.NoATRInfo {
		card.MasterFiles[chip.FileATRInfo] = atrInfo(b.f.Quirks)
	}
	return nil
}

// atrInfo states card capabilities and the lengths of extended commands
// (ISO/IEC 7816-4 sections 8.1.1.2.7 and 8.2.1.1).
func atrInfo(q chip.Quirks) []byte {
	if q.NoExtended {
		return ber.Make(0x47, []byte{0xC8, 0x21, 0x80})
	}
	longest := maxRead + 256 // with the overhead of secure messaging
	if q.MaxRead > 0 {
		longest = min(q.MaxRead+256, 0xFFFF)
	}
	size := []byte{byte(longest >> 8), byte(longest)}
	return append(ber.Make(0x47, []byte{0xC8, 0x21, 0xE0}),
		ber.Make(0x7F66, ber.Make(ber.Integer, size), ber.Make(ber.Integer, size))...)
}

func (b *builder) group(n int) ([]byte, error) {
	switch n {
	case 1:
		return dg1(b.doc.lines), nil
	case 2:
		return b.portrait()
	case 3:
		// Fingerprints behind terminal authentication: nobody can read them,
		// so there is nothing to imitate but the size.
		body := make([]byte, 2000)
		_, err := io.ReadFull(b.random, body)
		return cbeff(0x63, 8, 7, body), err
	case 11:
		return dg11(b.person, b.f.fullNumber(), b.f.FullDetails), nil
	case 12:
		return dg12(b.f), nil
	case 13:
		return dg13(b.person, b.f), nil
	case 5, 7:
		pic, err := Picture(b.random, 4000)
		return displayed(n, pic), err
	case 16:
		return dg16(), nil
	case 6, 8, 9, 10: // reserved, or of machine readable content that nobody uses
		return ber.Make(uint32(groupTags[n]), octets([]byte("simulated"))), nil
	}
	return nil, fmt.Errorf("sim/doc: data group %d cannot be asked for", n)
}

func (b *builder) portrait() ([]byte, error) {
	if b.f.Image.Bytes == nil {
		const width, height = 413, 531
		img := b.f.Image
		img.Width, img.Height = width, height
		var err error
		switch b.f.Codec {
		case JP2, BareJP2:
			img.JPEG2000, img.Bytes = true, JPEG2000(width, height, b.f.PortraitBytes, b.f.Codec == BareJP2)
		default:
			img.Bytes, err = Picture(b.random, b.f.PortraitBytes)
		}
		if err != nil {
			return nil, err
		}
		b.f.Image = img
	}
	return dg2(b.f.Image, b.person.Sex), nil
}

// sign writes EF.SOD and EF.COM and puts everything on the chip.
func (b *builder) sign() error {
	signed := map[int][]byte{}
	for n, raw := range b.doc.groups {
		signed[n] = raw
		b.doc.card.Files[chip.FileDG(n)] = raw
	}
	for _, n := range b.f.Hidden {
		delete(signed, n)
	}
	if b.f.Alter&BreakSignature != 0 {
		b.f.SOD.BadSign = true
	}
	sod, err := securityObject(signed, b.signer, b.f.SOD)
	if err != nil {
		return err
	}
	var listed []int
	for n := 1; n <= 16; n++ {
		if _, ok := signed[n]; ok {
			listed = append(listed, n)
		}
	}
	b.doc.card.Files[chip.FileSOD] = sod
	lds := "0107"
	if b.f.SOD.Version1 {
		lds = "0108"
	}
	b.doc.card.Files[chip.FileCOM] = com(listed, lds)
	if err := b.cardSecurity(); err != nil {
		return err
	}
	for _, n := range b.f.Denied {
		b.doc.card.Denied = append(b.doc.card.Denied, chip.FileDG(n))
	}
	return nil
}
