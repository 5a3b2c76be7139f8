"""Users' own configurations in the dialect of OpenMMLab: read as data, never executed. Start reading in `read`."""
