//go:build linux

package lab

import (
	"bytes"
	"image/png"
	"slices"
	"testing"
)

// TestBrowser opens a page that is larger than its window and asks for something that its policy does not allow.
func TestBrowser(t *testing.T) {
	b := StartBrowser(t)
	tab := b.Open(Screen{Width: 300, Height: 200, Dark: true}, "data:text/html,<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">"+
		"<title>Test</title><h1>Hello</h1><p style='height:400px'>text</p>")
	defer tab.Close()
	var dark bool
	tab.Evaluate("matchMedia('(prefers-color-scheme: dark)').matches", &dark)
	if !dark {
		t.Error("the page is not dark")
	}
	if nodes := tab.Nodes(); !slices.Contains(nodes, Node{"heading", "Hello"}) || !slices.Contains(nodes, Node{"RootWebArea", "Test"}) {
		t.Errorf("nodes %v", nodes)
	}
	if complaints := tab.Complaints(); len(complaints) != 1 {
		t.Errorf("complaints %q, want one about the style", complaints)
	}
	picture, err := png.Decode(bytes.NewReader(tab.Screenshot(250)))
	if err != nil {
		t.Fatal(err)
	}
	if size := picture.Bounds().Size(); size.X != 300 || size.Y < 200 || size.Y > 250 {
		t.Errorf("size %v", size)
	}
}
