"""Figures: colours, overlays, grids, and the text that stands for a figure."""

import io
import sys
import types

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from seglab import figures
from seglab.figures import PALETTE, class_colours, overlay, show, show_images, to_png


def luminance(colour):
    """Relative luminance by WCAG 2."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


# Machado, Oliveira and Fernandes (2009), severity 1.0, applied to linear RGB.
COLOUR_BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}


class TestColours:
    def test_scene_classes_differ_for_everybody(self):
        """The five colours of the scenes stay apart, also for the two common kinds of colour blindness."""
        colours = PALETTE[:5] / 255.0
        for matrix in (np.eye(3), *map(np.array, COLOUR_BLINDNESS.values())):
            seen = np.clip((colours**2.2) @ matrix.T, 0, 1) ** (1 / 2.2)
            distances = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
            assert min(distances) > 0.2

    def test_no_two_classes_share_a_colour(self):
        assert len(np.unique(PALETTE, axis=0)) == len(PALETTE)

    def test_classes_beyond_the_palette_and_ignored_pixels(self):
        colours = class_colours(torch.tensor([0, 1, 7, 8, 14, 255]))
        assert colours.shape == (6, 3) and colours.dtype == torch.float32
        assert torch.equal(colours[3], colours[1]) and torch.equal(colours[4], colours[2])
        assert torch.equal(colours[5], torch.ones(3))
        assert luminance(colours[0].numpy()) < 0.1

    @pytest.mark.parametrize("classes", [torch.tensor([0.5]), torch.tensor([-1])])
    def test_bad_classes(self, classes):
        with pytest.raises(ValueError, match="expected integers >= 0"):
            class_colours(classes)


class TestOverlay:
    def test_background_stays_and_objects_are_tinted(self):
        image = torch.full((3, 2, 2), 0.5)
        result = overlay(image, torch.tensor([[0, 1], [0, 2]]), alpha=0.25)
        assert torch.equal(result[:, :, 0], image[:, :, 0])
        assert torch.allclose(result[:, 0, 1], 0.375 + 0.25 * torch.from_numpy(PALETTE[1]) / 255)

    def test_grey_image(self):
        assert overlay(torch.zeros(1, 4, 5), torch.zeros(4, 5, dtype=torch.int64)).shape == (3, 4, 5)

    def test_sizes_must_agree(self):
        with pytest.raises(ValueError, match=r"\(3, 4, 5\).*\(5, 4\)"):
            overlay(torch.zeros(3, 4, 5), torch.zeros(5, 4, dtype=torch.int64))


class TestShowImages:
    def pictures(self):
        return [torch.rand(3, 8, 8), torch.rand(1, 8, 8), torch.ones(8, 8, dtype=torch.int64), torch.rand(8, 8)]

    def test_grid_with_titles_and_legend(self):
        figure = show_images(self.pictures(), ["a", "b", "c", "d"], columns=3, class_names=["none", "cell"])
        assert [axis.get_title() for axis in figure.axes] == ["a", "b", "c", "d", "", ""]
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["none", "cell"]
        assert [len(axis.images) for axis in figure.axes] == [1, 1, 1, 1, 0, 0]

    def test_mask_is_drawn_in_class_colours(self):
        figure = show_images(self.pictures()[2:3])
        drawn = np.asarray(figure.axes[0].images[0].get_array())
        assert np.allclose(drawn, PALETTE[1] / 255, atol=1 / 255)

    @pytest.mark.parametrize(
        ("pictures", "titles", "message"),
        [
            ([], None, "no pictures"),
            ([torch.zeros(3, 4, 4)], ["a", "b"], "2 titles for 1 pictures"),
            ([torch.zeros(5, 4, 4)], None, r"\(5, 4, 4\)"),
        ],
    )
    def test_bad_arguments(self, pictures, titles, message):
        with pytest.raises(ValueError, match=message):
            show_images(pictures, titles)

    def test_png_is_opaque_and_white(self):
        picture = Image.open(io.BytesIO(to_png(show_images(self.pictures(), columns=2))))
        assert np.asarray(picture.convert("RGBA"))[..., 3].min() == 255
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


class TestShow:
    def test_outside_a_notebook_the_text_is_printed(self, capsys):
        show(show_images([torch.zeros(3, 4, 4)]), alt="A black\n   square.")
        assert capsys.readouterr().out == "[figure] A black square.\n"

    def test_in_a_notebook_an_image_with_its_text(self, monkeypatch):
        shown = []
        display = types.ModuleType("IPython.display")
        display.display = lambda data, raw: shown.append((data, raw))
        monkeypatch.setitem(sys.modules, "IPython.display", display)
        monkeypatch.setattr(figures, "in_notebook", lambda: True)
        show(show_images([torch.zeros(3, 4, 4)]), alt='IoU < 0.5 & "black"')
        ((data, raw),) = shown
        assert raw and data["text/plain"] == '[figure] IoU < 0.5 & "black"'
        assert 'alt="IoU &lt; 0.5 &amp; &quot;black&quot;"' in data["text/html"]
        for theme in ("light", "dark"):  # a page shows the one of its theme
            assert f'<img class="seglab-{theme}" src="data:image/png;base64,iVBOR' in data["text/html"]

    @pytest.mark.parametrize(("theme", "page"), [("light", 255), ("dark", 17)])
    def test_ink_of_the_theme_on_no_background(self, theme, page):
        """Letters, axes, legends and lines can be read on the page; pictures are as they were."""
        figure = Figure(figsize=(4, 3))
        axis, beside = figure.subplots(1, 2)
        axis.plot([1, 2, 3], [1, 2, 3], "k", label="a line")
        axis.set(title="Title", xlabel="x (pixels)", ylabel="y")
        axis.legend()
        beside.imshow(np.full((4, 4, 3), 0.5))
        beside.text(1, 1, "on the picture")
        before = to_png(figure)
        drawn = np.asarray(Image.open(io.BytesIO(to_png(figure, theme=theme))).convert("RGBA")).astype(float)
        assert (drawn[..., 3] == 0).mean() > 0.3
        ink = int(figures.INK[theme][1:3], 16)
        assert ((drawn[..., :3] == ink).all(2) & (drawn[..., 3] == 255)).sum() > 500
        seen = drawn[..., 3:] / 255 * drawn[..., :3] + (1 - drawn[..., 3:] / 255) * page
        light, dark = sorted([luminance(np.full(3, page / 255)), luminance(np.full(3, ink / 255))])[::-1]
        assert (light + 0.05) / (dark + 0.05) > 7
        opposite = 255 - page
        assert (np.abs(seen - opposite).max(2) < 12).sum() < 0.5 * (np.abs(seen - page).max(2) < 12).sum()
        assert ((drawn[..., :3] == 0).all(2) & (drawn[..., 3] == 255)).any()  # the letters on the picture
        assert to_png(figure) == before  # and nothing of it stays

    @pytest.mark.parametrize("alt", ["", "  \n"])
    def test_text_is_required(self, alt):
        with pytest.raises(ValueError, match="alt is empty"):
            show(show_images([torch.zeros(3, 4, 4)]), alt=alt)
