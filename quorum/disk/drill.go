package disk

// drilled asks a Disk before it changes files.
type drilled struct {
	layer
	disk Disk
}

func (d drilled) Create(path string) (file, error) {
	if err := d.disk.BeforeWrite(0); err != nil {
		return nil, err
	}
	f, err := d.layer.Create(path)
	if err != nil {
		return nil, err
	}
	return drilledFile{f, d.disk}, nil
}

func (d drilled) Open(path string) (file, error) {
	f, err := d.layer.Open(path)
	if err != nil {
		return nil, err
	}
	return drilledFile{f, d.disk}, nil
}

func (d drilled) SyncDir(dir string) error {
	if err := d.disk.BeforeSync(); err != nil {
		return err
	}
	return d.layer.SyncDir(dir)
}

type drilledFile struct {
	file
	disk Disk
}

func (f drilledFile) WriteAt(b []byte, offset int64) (int, error) {
	if err := f.disk.BeforeWrite(len(b)); err != nil {
		return 0, err
	}
	return f.file.WriteAt(b, offset)
}

func (f drilledFile) Sync() error {
	if err := f.disk.BeforeSync(); err != nil {
		return err
	}
	return f.file.Sync()
}
