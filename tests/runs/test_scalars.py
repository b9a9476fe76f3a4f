from gan.runs.scalars import group_scalars, select_scalars

COLUMNS = ["iteration", "images", "seconds", "d_loss", "real_score", "fake_score", "grad_norm_d", "penalty", "g_loss"]
COLUMNS += ["grad_norm_g", "images_per_second"]


def test_scalars_are_all_but_progress_and_speed():
    assert select_scalars(COLUMNS) == COLUMNS[3:-1]


def test_scalars_of_one_quantity_share_a_group():
    assert group_scalars(COLUMNS) == {
        "loss": ["d_loss", "g_loss"],
        "score": ["real_score", "fake_score"],
        "grad norm": ["grad_norm_d", "grad_norm_g"],
        "penalty": ["penalty"],
    }


def test_a_new_scalar_has_a_group_without_further_code():
    """A new quantity, a new member of a known one, and a name that consists of subjects alone."""
    groups = group_scalars(["d_loss", "learning_rate", "aux_loss", "loss", "real"])
    assert groups == {
        "loss": ["d_loss", "loss"],
        "learning rate": ["learning_rate"],
        "aux loss": ["aux_loss"],
        "real": ["real"],
    }
