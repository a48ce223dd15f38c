package camera

import "fmt"

// layout says how the pixels of an uncompressed picture lie.
type layout struct {
	width, height int
	stride        int // bytes from one row to the next
}

func (l layout) check(rowBytes, have int) error {
	if l.width < minSide || l.height < minSide || l.width > maxWide || l.height > maxHigh {
		return fmt.Errorf("a picture of %d×%d; between %d×%d and %d×%d is taken", l.width, l.height, minSide, minSide, maxWide, maxHigh)
	}
	if l.stride < rowBytes || have < l.stride*(l.height-1)+rowBytes {
		return errTorn
	}
	return nil
}

// yuyvFrame turns YUYV 4:2:2 into RGB: BT.601, 16..235, as UVC cameras send it
// (USB Video Class 1.5, uncompressed payload; color matching default).
func yuyvFrame(b []byte, l layout) (Frame, error) {
	if l.width%2 != 0 {
		return Frame{}, fmt.Errorf("YUYV with odd width %d", l.width)
	}
	if err := l.check(2*l.width, len(b)); err != nil {
		return Frame{}, err
	}
	out := make([]byte, 3*l.width*l.height)
	at := 0
	for y := range l.height {
		row := b[y*l.stride : y*l.stride+2*l.width]
		for i := 0; i < len(row); i += 4 {
			u, v := int32(row[i+1])-128, int32(row[i+3])-128
			r, g, bl := 409*v+128, -100*u-208*v+128, 516*u+128
			for _, luma := range [2]byte{row[i], row[i+2]} {
				c := 298 * (int32(luma) - 16)
				out[at], out[at+1], out[at+2] = clip(c+r), clip(c+g), clip(c+bl)
				at += 3
			}
		}
	}
	return Frame{Width: l.width, Height: l.height, Format: RGB, Data: out}, nil
}

// clip takes a value with 8 fraction bits to a byte.
func clip(v int32) byte { return byte(min(max(v>>8, 0), 255)) }

func grayFrame(b []byte, l layout) (Frame, error) {
	if err := l.check(l.width, len(b)); err != nil {
		return Frame{}, err
	}
	out := make([]byte, 0, l.width*l.height)
	for y := range l.height {
		out = append(out, b[y*l.stride:y*l.stride+l.width]...)
	}
	return Frame{Width: l.width, Height: l.height, Format: Gray, Data: out}, nil
}
