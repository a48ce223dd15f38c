// Package eval measures a model pack on pictures of known people, in the
// terms of ISO/IEC 19795-1: rates of verification transactions, with
// intervals over people, and what the number of people cannot support.
package eval

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// LabelsFile may lie in the folder of the pictures, or elsewhere: its first line
// is person,sex,age, in years, or person,sex,age-band; empty fields are unknown.
const LabelsFile = "labels.csv"

// referencePrefix begins the names of pictures that stand for the chip's
// portrait.
const referencePrefix = "portrait"

// Person is a person of the set and the paths of the pictures.
type Person struct {
	Name       string
	Sex        string // as labelled; empty when unknown
	Age        int    // -1 when unknown
	Band       string // of ages, as labelled; empty where Age tells, or unknown
	References []string
	Live       []string
}

// extensions of pictures; the content decides what they are.
var extensions = []string{".pgm", ".ppm", ".pnm", ".jpg", ".jpeg", ".png", ".jp2", ".j2k"}

// ReadSet lists a folder with a folder of pictures for each person, in order
// of the names. Labels come from the file of that name, or from LabelsFile in
// the folder where there is one.
func ReadSet(dir, labels string) ([]Person, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var people []Person
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		p := Person{Name: e.Name(), Age: -1}
		files, err := os.ReadDir(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if !f.Type().IsRegular() || strings.HasPrefix(f.Name(), ".") || !slices.Contains(extensions, strings.ToLower(filepath.Ext(f.Name()))) {
				continue
			}
			path := filepath.Join(dir, e.Name(), f.Name())
			if strings.HasPrefix(strings.ToLower(f.Name()), referencePrefix) {
				p.References = append(p.References, path)
			} else {
				p.Live = append(p.Live, path)
			}
		}
		slices.SortFunc(p.Live, byNumber)
		if len(p.Live)+len(p.References) > 0 {
			people = append(people, p)
		}
	}
	if len(people) < 2 {
		return nil, fmt.Errorf("%s holds pictures of %d people; it must hold a folder with pictures for each of at least two", dir, len(people))
	}
	if labels != "" {
		return people, readLabels(labels, people)
	}
	err = readLabels(filepath.Join(dir, LabelsFile), people)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return people, err
}

// byNumber puts 2.jpg before 10.jpg: pictures of one visit follow each other.
func byNumber(a, b string) int {
	if d := len(a) - len(b); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}

func readLabels(path string, people []Person) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = 3
	rows, err := r.ReadAll()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(rows) == 0 || !slices.Equal(rows[0][:2], []string{"person", "sex"}) || rows[0][2] != "age" && rows[0][2] != "age-band" {
		return fmt.Errorf("%s: the first line must be person,sex,age or person,sex,age-band", path)
	}
	banded := rows[0][2] == "age-band"
	for i, row := range rows[1:] {
		at := slices.IndexFunc(people, func(p Person) bool { return p.Name == row[0] })
		if at < 0 {
			return fmt.Errorf("%s: line %d: there is no such person", path, i+2)
		}
		people[at].Sex = strings.ToUpper(strings.TrimSpace(row[1]))
		switch {
		case row[2] == "":
			continue
		case banded && !bandForm.MatchString(row[2]):
			return fmt.Errorf("%s: line %d: age-band is not like 30-44 or 60+", path, i+2)
		case banded:
			people[at].Band = row[2]
			continue
		}
		if people[at].Age, err = strconv.Atoi(row[2]); err != nil || people[at].Age < 0 || people[at].Age > 130 {
			return fmt.Errorf("%s: line %d: age is not a number of years", path, i+2)
		}
	}
	return nil
}

// bandForm is how a band of ages is written.
var bandForm = regexp.MustCompile(`^\d{1,3}(-\d{1,3}|\+)$`)

// labels gives the groups that a person belongs to.
func (p Person) labels() []string {
	var out []string
	if p.Sex != "" {
		out = append(out, "sex="+p.Sex)
	}
	bands := []struct {
		below int
		name  string
	}{{18, "0-17"}, {30, "18-29"}, {45, "30-44"}, {60, "45-59"}, {131, "60+"}}
	if p.Band != "" {
		return append(out, "age="+p.Band)
	}
	if p.Age >= 0 {
		i := slices.IndexFunc(bands, func(b struct {
			below int
			name  string
		}) bool {
			return p.Age < b.below
		})
		out = append(out, "age="+bands[i].name)
	}
	return out
}
