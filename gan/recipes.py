"""Whole sets of settings by name: what each changes of the defaults in gan/config.py, and where it comes from."""

# The Udacity face-generation project as its students ran it: uniform noise, Adam(2e-4, 0.5), whole passes.
UDACITY = {
    "image_size": 32, "augmentation": "none", "noise_size": 100, "noise_distribution": "uniform",
    "generator": "conv", "discriminator": "conv", "width": 64, "augment": "none", "penalty": "none",
    "ema_half_life": 0.0,
    "generator_learning_rate": 2e-4, "discriminator_learning_rate": 2e-4,
    "generator_betas": (0.5, 0.999), "discriminator_betas": (0.5, 0.999),
    "reuse_fakes": False, "batch_size": 128, "epochs": 50, "steps_per_epoch": "all",
}  # fmt: skip

# Keras-GAN's scripts: 28 x 28, normal noise, Adam(2e-4, 0.5), batches of 32, an "epoch" is one batch. They update
# the discriminator twice, on 16 real faces, then on 16 fakes of a generator in inference mode; here once, on 32
# and on 32 fakes of a generator in training mode.
KERAS_GAN = {
    **UDACITY, "image_size": 28, "noise_distribution": "normal", "batch_size": 32, "steps_per_epoch": 1,
}  # fmt: skip

RECIPES = {
    # our own: narrow generator, discriminator without batch norm, lazy R1, EMA, mirrored images; see DEFAULT_BY_SIZE
    "default": {},
    # the same for the built-in avatars, for which it is taken where no recipe is given: their lines and areas of one
    # color take a palette, deeper networks and a stronger penalty; docs/recipes.md, "Avatars", has the trials. Runs of
    # earlier versions keep their width of 48, and their depth and palette of 0: see `KEPT_ON_RESUME`.
    "avatars": {
        "batch_size": 16, "epochs": 5000, "width": 32, "depth": 1, "palette": 8, "penalty_weight": 1.0,
        "augmentation": "none",
        "generator_learning_rate": 1e-3, "discriminator_learning_rate": 1e-3, "learning_rate_schedule": "cooldown",
    },
    # github.com/zeeshaanahmad/face-generation, at the three widths it tried
    "udacity-64": {**UDACITY, "epochs": 100},
    "udacity-128": {**UDACITY, "width": 128, "epochs": 100},
    "udacity-256": {**UDACITY, "width": 256},
    # github.com/UsmanIjaz/DL_Face_Generation: small discriminator, wide generator, slow Adam. Its biases start at
    # PyTorch's random ones, here at 0.
    "udacity-32-128": {
        **UDACITY, "width": 128, "discriminator_width": 32, "noise_size": 128, "epochs": 40,
        "generator_learning_rate": 1e-4, "discriminator_learning_rate": 1e-4,
        "generator_betas": (0.9, 0.999), "discriminator_betas": (0.9, 0.999),
    },
    # github.com/saisravanth/udacity: a generator that starts at 2 x 2 x 1024. Batch size read off its loss chart.
    "udacity-2x2": {**UDACITY, "generator": "conv-2x2", "batch_size": 32},
    # github.com/Nourah-AlMutlaq/Face-Generation. By mistake it draws batch norm's gamma from N(0, 0.02), so
    # layers start near 0; here gamma starts at 1, as in the other repositories. Biases as in udacity-32-128.
    "udacity-32": {**UDACITY, "width": 32},
    # github.com/eriklindernoren/Keras-GAN, dcgan/dcgan.py, in RGB
    "keras-gan-upsample": {
        **KERAS_GAN, "generator": "upsample", "discriminator": "upsample", "discriminator_width": 32, "epochs": 4000,
    },
    # gan_rgb.py, grown from Keras-GAN's gan/gan.py: dense layers only
    "keras-gan-dense": {**KERAS_GAN, "generator": "dense", "discriminator": "dense", "epochs": 30_000},
    # github.com/drmerlot/GAN-Face-Generation: image-shaped noise, convolutions, then dense layers. It was asked
    # for 30,000 iterations and stopped by hand at 2,900. It trains on the first 5,000 faces it finds, for want of
    # memory; here on all. Its pictures show 0.4 x + 0.5, washed out; here the whole range.
    "conv-dense": {
        **KERAS_GAN, "noise": "image", "generator": "conv-dense", "discriminator": "conv-dense", "epochs": 2900,
    },
}  # fmt: skip

# What `default` changes by image size: the row with the largest size that is not larger than the images' applies.
# docs/recipes.md, "The default", has the trials.
DEFAULT_BY_SIZE = {
    0: {},
    64: {"batch_size": 16, "epochs": 20_000},
    # With half the width, layers are those of 64 x 64 and one stage more: --start-from such a run begins with its faces
    128: {"batch_size": 16, "epochs": 20_000, "width": 16},
}

OWN = ("default", "avatars")  # recipes that are not published ones
# What these decide by the images, and may decide differently in another version: a run keeps what it began with.
# The discriminator's width is decided by the run of --start-from, if at all.
KEPT_ON_RESUME = {name for row in (*DEFAULT_BY_SIZE.values(), RECIPES["avatars"]) for name in row}
KEPT_ON_RESUME |= {"discriminator_width"}


def choose_recipe(data: tuple[str, ...]) -> str:
    """Returns the recipe that applies where none is given; `data` are the values of --data."""
    return "avatars" if data == ("avatars",) else "default"


def find_settings(recipe: str, image_size: int) -> dict:
    """Returns what a recipe changes of the defaults in gan/config.py at an image size; {} of an unknown recipe."""
    if recipe != "default":
        return RECIPES.get(recipe, {})
    return DEFAULT_BY_SIZE[max(size for size in DEFAULT_BY_SIZE if size <= image_size)]
